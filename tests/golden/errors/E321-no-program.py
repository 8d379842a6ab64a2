# $ mmunotify trace -- pyton train.py
# The command alone brings it about: no file is read.
