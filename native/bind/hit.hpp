// What native/bind/hit.cpp adds to the module _monitor.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "monitor/space.hpp"
#include "monitor/table.hpp"

namespace mmunotify::bind {

// A table and the space that tells it things, which must outlive it.
class Table {
 public:
  Table(std::shared_ptr<monitor::Space> space, std::size_t capacity, bool whole);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  monitor::Table& operator*() { return table_; }
  monitor::Table* operator->() { return &table_; }

 private:
  std::shared_ptr<monitor::Space> space_;
  monitor::Table table_;
};

void add_hit(nanobind::module_& module);

}  // namespace mmunotify::bind
