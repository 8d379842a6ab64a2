# $ mmunotify trace --pid 1
# The command alone brings it about: no file is read.
