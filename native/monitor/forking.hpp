// fork(): the child has the tables, but neither the monitor's thread nor its subscriptions; nothing
// is believed there any more.
//
// No lock is taken before a fork: where the kernel reports forks, the forking thread waits until the
// monitor's thread has read the report, and that thread must not wait for the forking one. So the
// child finds mutexes that nobody will give back, and makes new ones.
#pragma once

namespace mmunotify::monitor {

class Space;

// Called by the constructor and the destructor of a space; throws if there are too many.
void watch_forks_of(Space* space);
void forget_forks_of(Space* space);

// A file descriptor that the child closes at once: one kept open there would keep the parent's
// memory watched after the parent has stopped reading, and its operations would wait for ever.
void close_in_children(int fd);
void keep_in_children(int fd);

}  // namespace mmunotify::monitor
