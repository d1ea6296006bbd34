#include "tests/support/scripted_transport.h"

#include <errno.h>

#include <algorithm>

#include "weft/core/block.h"

namespace weft {

void WriteRecord::Block() { Add({0, EAGAIN}); }

void WriteRecord::Add(Step step) {
  std::lock_guard<std::mutex> lock(mu_);
  script_.push_back(step);
}

std::string WriteRecord::written() const {
  std::lock_guard<std::mutex> lock(mu_);
  return written_;
}

int WriteRecord::writes() const {
  std::lock_guard<std::mutex> lock(mu_);
  return writes_;
}

bool WriteRecord::shut_down() const {
  std::lock_guard<std::mutex> lock(mu_);
  return shut_down_;
}

bool WriteRecord::destroyed() const {
  std::lock_guard<std::mutex> lock(mu_);
  return destroyed_;
}

ScriptedTransport::~ScriptedTransport() {
  std::lock_guard<std::mutex> lock(record_->mu_);
  record_->destroyed_ = true;
}

ssize_t ScriptedTransport::Read(const iovec*, int) {
  errno = EAGAIN;
  return -1;
}

ssize_t ScriptedTransport::Write(const iovec* pieces, int count) {
  // Without the lock, so that the hook may look at the record.
  if (record_->in_write) record_->in_write();
  std::lock_guard<std::mutex> lock(record_->mu_);
  ++record_->writes_;
  WriteRecord::Step step{static_cast<size_t>(-1), 0};
  if (record_->shut_down_) {
    step = {0, EPIPE};
  } else if (!record_->script_.empty()) {
    step = record_->script_.front();
    record_->script_.pop_front();
  }
  if (step.error != 0) {
    errno = step.error;
    return -1;
  }
  size_t left = step.most;
  ssize_t taken = 0;
  for (int i = 0; i < count && left > 0; ++i) {
    const size_t n = std::min(left, pieces[i].iov_len);
    record_->written_.append(static_cast<const char*>(pieces[i].iov_base), n);
    left -= n;
    taken += static_cast<ssize_t>(n);
  }
  return taken;
}

size_t ScriptedTransport::Unacknowledged() const { return record_->unacknowledged; }

void ScriptedTransport::ShutDown() {
  std::lock_guard<std::mutex> lock(record_->mu_);
  record_->shut_down_ = true;
}

}  // namespace weft
