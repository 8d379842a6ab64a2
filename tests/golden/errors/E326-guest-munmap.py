# $ mmunotify litmus E326-guest-munmap.toml
# The case is in the file beside this one.
