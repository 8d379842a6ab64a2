# $ mmunotify trace
# The command alone brings it about: no file is read.
