#include "engine/autograd/op_range.hpp"

#include "kernels/launch_record.hpp"

namespace gliograd {

OpRange::OpRange(Stream& stream, const char* op, const char* recorded_as)
    : queue_(stream.queue()), live_(&stream.allocator()->live()), outer_(live_->set_op(op)) {
  if (queue_.handle != nullptr) kernels::begin_range(queue_, recorded_as);
}

OpRange::OpRange(Tape& tape, const char* op) : OpRange(tape.stream(), op) {
  observer_ = tape.observer();
  if (observer_ != nullptr) observer_->forward_begins(op);
}

OpRange::~OpRange() {
  if (observer_ != nullptr) observer_->forward_ends();
  live_->set_op(outer_);
  if (queue_.handle != nullptr) kernels::end_range(queue_);
}

}  // namespace gliograd
