#include "core/machine.hpp"

#include <algorithm>

#include "core/scratch.hpp"

namespace mmunotify::core {
namespace {

constexpr int no_thread = -1;

// Translates the code of one thread or predicate.
class Translator {
 public:
  Translator(const Program& program, const Reduction* reduction, Machine& machine)
      : p_(program), reduction_(reduction), m_(machine) {}

  Machine::Body thread(int number) {
    thread_ = number;
    const Thread& thread = p_.threads[static_cast<std::size_t>(number)];
    body_ = {};
    body_.pc = static_cast<std::uint16_t>(thread.pc);
    body_.done = thread.done();
    body_.daemon = thread.daemon;
    body_.marks = static_cast<std::uint32_t>(m_.marks);
    m_.marks += thread.done();
    return translate(thread.entries);
  }

  Machine::Body predicate(int number) {
    thread_ = no_thread;
    body_ = {};
    return translate({p_.predicates[static_cast<std::size_t>(number)].entry});
  }

 private:
  Machine::Body translate(const std::vector<std::int32_t>& entries) {
    reach(entries);
    for (std::size_t at = 0; at < p_.code.size(); ++at)
      if (reached_[at]) {
        position_[at] = static_cast<std::int32_t>(body_.code.size());
        emit(static_cast<std::int32_t>(at), p_.code[at]);
      }
    resolve();
    for (auto entry : entries)
      body_.entries.push_back(
          static_cast<std::uint32_t>(position_[static_cast<std::size_t>(entry)]));
    return std::move(body_);
  }

  void reach(std::vector<std::int32_t> open) {
    reached_.assign(p_.code.size(), false);
    position_.assign(p_.code.size(), -1);
    jumps_.clear();
    while (!open.empty()) {
      const auto at = static_cast<std::size_t>(open.back());
      open.pop_back();
      if (reached_[at]) continue;
      reached_[at] = true;
      const Instr& i = p_.code[at];
      const auto& roles = op_roles[static_cast<std::size_t>(i.op)];
      for (int f = 0; f < 5; ++f)
        if (roles[static_cast<std::size_t>(f)] == Role::target) open.push_back(i[f]);
      if (!ends_flow(i.op)) open.push_back(static_cast<std::int32_t>(at) + 1);
    }
  }

  void put(VmOp op, int a = 0, int b = 0, int c = 0, std::int32_t d = 0, std::int32_t e = 0) {
    body_.code.push_back({op, static_cast<std::uint16_t>(a), static_cast<std::uint16_t>(b),
                          static_cast<std::uint16_t>(c), d, e});
  }

  // Puts an instruction whose `d` is to become the position of `target`.
  void put_jump(VmOp op, std::int32_t target, int a = 0, int b = 0) {
    jumps_.push_back(body_.code.size());
    put(op, a, b, 0, target);
  }

  void emit(std::int32_t at, const Instr& i) {
    const auto same = static_cast<VmOp>(i.op);  // the first operations have the IR's numbers
    switch (i.op) {
      case Op::ldt:  // the table may be longer than 16 bits tell; an index cannot be
        put(same, i[0], std::min(i[3], 1 << 15), i[2], i[1], i[4]);
        break;
      case Op::range: put(same, i[0], i[1], i[2], i[3]); break;
      case Op::fill: put(same, i[0], i[2], 0, i[1]); break;
      case Op::choose:
        if (thread_ == no_thread)  // a predicate makes no choices: the first alternative
          put(VmOp::const_, i[0], i[1]);
        else
          put(same, i[0], i[1], 0, i[2]);
        break;
      case Op::jmp: put_jump(same, i[0]); break;
      case Op::jz:
      case Op::jnz: put_jump(same, i[1], i[0]); break;
      case Op::jeqk:
      case Op::jnek:
      case Op::jeq:
      case Op::jne:
      case Op::jlt:
      case Op::jle: put_jump(same, i[2], i[0], i[1]); break;
      case Op::assert_: put(same, i[0], 0, 0, i[1]); break;
      case Op::fail:
      case Op::bump: put(same, 0, 0, 0, i[0]); break;
      case Op::cover:
        if (thread_ != no_thread) put(VmOp::mark, 0, 0, 0, i[0]);
        break;
      case Op::step: boundary(at, i[0]); break;
      case Op::end: boundary(at, body_.done); break;
      default: put(same, i[0], i[1], i[2], i[3], i[4]);
    }
  }

  Mode mode(int boundary) const {
    if (!reduction_ || reduction_->modes.empty()) return Mode::hard;
    const auto& modes = reduction_->modes[static_cast<std::size_t>(thread_)];
    return static_cast<std::size_t>(boundary) < modes.size()
               ? modes[static_cast<std::size_t>(boundary)]
               : Mode::hard;
  }

  void boundary(std::int32_t at, int boundary) {
    if (thread_ == no_thread) return put(VmOp::stop);
    const Mode kind = boundary == body_.done ? Mode::hard : mode(boundary);
    if (kind == Mode::hard) return put(VmOp::hard, 0, 0, 0, arrival(boundary));
    const std::int32_t entry =
        p_.threads[static_cast<std::size_t>(thread_)].entries[static_cast<std::size_t>(boundary)];
    const auto mark = static_cast<std::int32_t>(body_.marks) + boundary;
    if (kind == Mode::soft) put(VmOp::soft, 0, 0, 0, arrival(boundary));
    put(VmOp::mark, 0, 0, 0, mark);
    if (m_.zero_scratch) put(VmOp::zero);
    if (entry != at + 1) put_jump(VmOp::jmp, entry);
  }

  std::int32_t arrival(int boundary) {
    Arrival arrival;
    arrival.boundary = boundary;
    arrival.pc = body_.pc;
    arrival.low = static_cast<Value>(boundary % 128);
    arrival.high = static_cast<Value>(boundary / 128);
    arrival.clears_begin = static_cast<std::uint32_t>(m_.clears.size());
    if (reduction_ && !reduction_->clears.empty()) {
      const auto& rows = reduction_->clears[static_cast<std::size_t>(thread_)];
      if (static_cast<std::size_t>(boundary) < rows.size())
        for (auto cell : rows[static_cast<std::size_t>(boundary)])
          m_.clears.push_back({static_cast<std::uint16_t>(cell),
                               static_cast<Value>(p_.initial[static_cast<std::size_t>(cell)])});
    }
    arrival.clears_end = static_cast<std::uint32_t>(m_.clears.size());
    m_.arrivals.push_back(arrival);
    return static_cast<std::int32_t>(m_.arrivals.size()) - 1;
  }

  // Turns instruction numbers into positions. A jump back goes through a `loop` that counts it:
  // every cycle has one, and jumps forward cost nothing.
  void resolve() {
    for (std::size_t jump : jumps_) {
      const auto aim = static_cast<std::size_t>(body_.code[jump].d);
      std::int32_t target = position_[aim];
      if (target <= static_cast<std::int32_t>(jump)) {
        put(VmOp::loop, 0, 0, 0, target);
        target = static_cast<std::int32_t>(body_.code.size()) - 1;
      }
      body_.code[jump].d = target;
    }
  }

  const Program& p_;
  const Reduction* reduction_;
  Machine& m_;
  int thread_ = no_thread;
  Machine::Body body_;
  std::vector<bool> reached_;
  std::vector<std::int32_t> position_;  // of each IR instruction in the translated code
  std::vector<std::size_t> jumps_;      // instructions that jump
};

}  // namespace

Machine::Machine(const Program& program, const Reduction* reduction) {
  cells = program.cells();
  padded = (cells + 7) / 8 * 8;
  slots = std::max(program.slots, padded);
  covers = marks = program.covers;
  zero_scratch = reads_fresh_scratch(program);
  for (auto entry : program.table) table.push_back(static_cast<Value>(entry));
  for (const auto& epoch : program.epochs) epochs.emplace_back(epoch.begin(), epoch.end());
  Translator translator(program, reduction, *this);
  for (std::size_t t = 0; t < program.threads.size(); ++t)
    threads.push_back(translator.thread(static_cast<int>(t)));
  for (std::size_t n = 0; n < program.predicates.size(); ++n)
    predicates.push_back(translator.predicate(static_cast<int>(n)));
}

bool Machine::terminal(const Value* state) const {
  return std::ranges::all_of(
      threads, [&](const Body& body) { return body.daemon || boundary(body, state) == body.done; });
}

}  // namespace mmunotify::core
