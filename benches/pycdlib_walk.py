"""Lists every path of an ISO by Rock Ridge names, as `ls -R` does."""
import sys

import pycdlib

iso = pycdlib.PyCdlib()
iso.open(sys.argv[1])
for folder, dirs, files in iso.walk(rr_path="/"):
    for name in dirs + files:
        print(folder.rstrip("/") + "/" + name)
iso.close()
