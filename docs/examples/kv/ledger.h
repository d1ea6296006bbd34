// The answers to clients' writes, to check later reads against.
//
// Each key is written by one thread, one write after the other. Its writes are numbered from 0, and
// the number is in the value. After an acknowledged write every read must find it or a later write
// of its key. A write without an acknowledgement may be read or not.
//
// Threads  any
#ifndef WEFT_EXAMPLES_KV_LEDGER_H_
#define WEFT_EXAMPLES_KV_LEDGER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace weft::examples::kv {

class Ledger {
 public:
  // The key was not found, or its value has no number.
  static constexpr int64_t kNothing = -1;

  // Begins a write of `key` and returns its number.
  int64_t Begin(const std::string& key);
  void Acknowledge(const std::string& key, int64_t number);

  // Number of acknowledged writes of `key` that are newer than a read of `number`.
  int64_t LostIn(std::string_view key, int64_t number) const;
  // The last acknowledged write of `key`; kNothing: none. A read that begins now must not find an
  // older one.
  int64_t Newest(std::string_view key) const;

  int64_t acknowledged() const;
  std::vector<std::string> keys() const;

  static std::string ValueOf(int64_t number);
  static int64_t NumberIn(std::string_view value);

 private:
  struct Writes {
    int64_t begun = 0;
    std::vector<int64_t> acknowledged;  // rising
  };

  mutable std::mutex mu_;
  std::map<std::string, Writes, std::less<>> writes_;
  int64_t acknowledged_ = 0;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_LEDGER_H_
