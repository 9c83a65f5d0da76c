"""What is drawn, in one house style; the only home of matplotlib; measures nothing and reads no files."""
