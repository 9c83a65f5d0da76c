"""Downloads in a process of its own, to be killed: the settings as JSON and the folder are its arguments."""

import json
import sys
from pathlib import Path

from mlpsweep.data.download import download
from mlpsweep.errors import MlpsweepError
from mlpsweep.settings import DataSettings

if __name__ == "__main__":
    try:
        print(download(DataSettings.build(json.loads(sys.argv[1])), Path(sys.argv[2])).dataset)
    except MlpsweepError as error:
        sys.exit(f"{error}\nexit code {error.exit_code}")
