# $ mmunotify trace --pid 99999999
# The command alone brings it about: no file is read.
