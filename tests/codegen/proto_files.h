// .proto files for the generator's tests: from the tree, or written in the test itself.
//
// Threads  one test's
#ifndef WEFT_TESTS_CODEGEN_PROTO_FILES_H_
#define WEFT_TESTS_CODEGEN_PROTO_FILES_H_

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/common.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace weft::codegen {

inline std::filesystem::path SourceRoot() {
  return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
}
inline std::filesystem::path GoldenFolder() { return SourceRoot() / "tests" / "golden"; }

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.is_open()) << "cannot open " << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Finds a file under its import path: given by Add, else google/protobuf/..., weft/..., tests/...,
// and all others in tests/golden.
class ProtoFiles {
 public:
  void Add(const std::string& path, const std::string& text) { texts_[path] = text; }

  // Adds and loads x.proto.
  const google::protobuf::FileDescriptor* Load(const std::string& path, const std::string& text) {
    Add(path, text);
    return Load(path);
  }

  // Returns nullptr, and fails the test, if the file is not right.
  const google::protobuf::FileDescriptor* Load(const std::string& path) {
    if (const auto* known = pool_.FindFileByName(path)) return known;
    google::protobuf::FileDescriptorProto file;
    if (absl::StartsWith(path, "google/protobuf/")) {
      google::protobuf::Empty::descriptor();  // links what only tests of imports need
      const auto* linked = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(path);
      EXPECT_NE(linked, nullptr) << path;
      if (linked == nullptr) return nullptr;
      linked->CopyTo(&file);
    } else if (!Parse(path, &file)) {
      return nullptr;
    }
    for (const std::string& dependency : file.dependency()) {
      if (Load(dependency) == nullptr) return nullptr;
    }
    const auto* built = pool_.BuildFile(file);
    EXPECT_NE(built, nullptr) << path;
    return built;
  }

  const google::protobuf::DescriptorPool& pool() const { return pool_; }

 private:
  class Errors : public google::protobuf::io::ErrorCollector {
   public:
    explicit Errors(std::string path) : path_(std::move(path)) {}
#if GOOGLE_PROTOBUF_VERSION >= 4022000
    void RecordError(int line, int column, absl::string_view message) override {
      Report(line, column, std::string(message));
    }
#else
    void AddError(int line, int column, const std::string& message) override {
      Report(line, column, message);
    }
#endif

   private:
    void Report(int line, int column, const std::string& message) {
      ADD_FAILURE() << path_ << ":" << line + 1 << ":" << column + 1 << ": " << message;
    }

    const std::string path_;
  };

  bool Parse(const std::string& path, google::protobuf::FileDescriptorProto* file) {
    const std::string text = TextOf(path);
    google::protobuf::io::ArrayInputStream stream(text.data(), static_cast<int>(text.size()));
    Errors errors(path);
    google::protobuf::io::Tokenizer tokenizer(&stream, &errors);
    google::protobuf::compiler::Parser parser;
    parser.RecordErrorsTo(&errors);
    file->set_name(path);
    return parser.Parse(&tokenizer, file);
  }

  std::string TextOf(const std::string& path) const {
    if (auto it = texts_.find(path); it != texts_.end()) return it->second;
    if (absl::StartsWith(path, "weft/")) return ReadFile(SourceRoot() / path.substr(5));
    if (absl::StartsWith(path, "tests/")) return ReadFile(SourceRoot() / path);
    return ReadFile(GoldenFolder() / path);
  }

  std::map<std::string, std::string> texts_;
  google::protobuf::DescriptorPool pool_;
};

}  // namespace weft::codegen

#endif  // WEFT_TESTS_CODEGEN_PROTO_FILES_H_
