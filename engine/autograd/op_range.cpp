#include "engine/autograd/op_range.hpp"

#include "kernels/launch_record.hpp"

namespace gliograd {

OpRange::OpRange(Stream& stream, const char* op) : queue_(stream.queue()) {
  if (queue_.handle != nullptr) kernels::begin_range(queue_, op);
}

OpRange::OpRange(Tape& tape, const char* op) : OpRange(tape.stream(), op) {
  observer_ = tape.observer();
  if (observer_ != nullptr) observer_->forward_begins(op);
}

OpRange::~OpRange() {
  if (observer_ != nullptr) observer_->forward_ends();
  if (queue_.handle != nullptr) kernels::end_range(queue_);
}

}  // namespace gliograd
