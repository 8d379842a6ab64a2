# $ mmunotify conform --only munmapp
# The command alone brings it about: no file is read.
