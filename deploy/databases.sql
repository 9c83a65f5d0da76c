-- Study and runs have a database each: they are saved, restored and upgraded apart.
CREATE DATABASE mlflow;
