// protoc's plugin: any .proto, as text or as protoc's compiled descriptors. It generates three
// files or says what is wrong. All that it generates is closed where it was opened, and in its
// headers nothing stands outside of a namespace or class: so no name and no comment of a .proto
// breaks out of its place.
//
//   input:  how u8 | .proto text, where `how` is even; else the bytes of a FileDescriptorSet
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/common.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "tests/fuzz/check.h"
#include "weft/codegen/generator.h"
#include "weft/rpc/options.pb.h"

namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;
using weft::fuzz::Check;

class NoParserErrors final : public google::protobuf::io::ErrorCollector {
 public:
#if GOOGLE_PROTOBUF_VERSION >= 4022000
  void RecordError(int, int, absl::string_view) override {}
#else
  void AddError(int, int, const std::string&) override {}
#endif
};

class NoPoolErrors final : public DescriptorPool::ErrorCollector {
 public:
#if GOOGLE_PROTOBUF_VERSION >= 4022000
  void RecordError(absl::string_view, absl::string_view, const google::protobuf::Message*,
                   ErrorLocation, absl::string_view) override {}
#else
  void AddError(const std::string&, const std::string&, const google::protobuf::Message*,
                ErrorLocation, const std::string&) override {}
#endif
};

class MemoryContext final : public google::protobuf::compiler::GeneratorContext {
 public:
  google::protobuf::io::ZeroCopyOutputStream* Open(const std::string& name) override {
    return new google::protobuf::io::StringOutputStream(&files[name]);
  }
  std::map<std::string, std::string> files;
};

// The text after a compiler has joined the lines that end in a backslash.
std::string Spliced(std::string_view text) {
  std::string spliced;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "\\\n") {
      ++i;
    } else {
      spliced.push_back(text[i]);
    }
  }
  return spliced;
}

// Returns the code without comments and literals, and checks that each of them ends.
std::string CodeOf(std::string_view text) {
  std::string code;
  size_t i = 0;
  const auto skip_past = [&](std::string_view end) {
    const size_t found = text.find(end, i);
    Check(found != std::string_view::npos);
    i = found + end.size();
  };
  while (i < text.size()) {
    if (text.substr(i, 2) == "//") {
      skip_past("\n");
      code.push_back('\n');
    } else if (text.substr(i, 2) == "/*") {
      skip_past("*/");
    } else if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        Check(text[i] != '\n');
        if (text[i] == '\\') ++i;
      }
      ++i;
    } else {
      code.push_back(text[i++]);
    }
  }
  return code;
}

void CheckClosed(std::string_view code) {
  std::string open;
  for (const char c : code) {
    if (c == '(' || c == '{' || c == '[') open.push_back(c);
    if (c != ')' && c != '}' && c != ']') continue;
    Check(!open.empty() && open.back() == (c == ')' ? '(' : c == '}' ? '{' : '['));
    open.pop_back();
  }
  Check(open.empty());
}

// The code without the lines of the preprocessor.
std::string WithoutDirectives(absl::string_view code) {
  std::string rest;
  for (const absl::string_view line : absl::StrSplit(code, '\n')) {
    if (!absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "#")) {
      absl::StrAppend(&rest, line, "\n");
    }
  }
  return rest;
}

// Says whether a namespace or a class begins with these words, which stand before a brace.
bool OpensAScope(absl::string_view words) {
  words = absl::StripAsciiWhitespace(words);
  (void)absl::ConsumePrefix(&words, "template <typename Derived>\n");
  // A declaration of anything else has a ; or one of these before its brace.
  return words.find_first_of("()=") == absl::string_view::npos &&
         (absl::StartsWith(words, "namespace ") || absl::StartsWith(words, "struct ") ||
          absl::StartsWith(words, "class "));
}

// Checks a header's code, in which every brace is closed: outside of all braces there is nothing
// but namespaces and classes, and the semicolons behind the latter.
void CheckNothingStandsOutside(absl::string_view code) {
  std::string outside;
  int depth = 0;
  for (const char c : WithoutDirectives(code)) {
    if (c == '{' && depth++ == 0) {
      Check(OpensAScope(outside));
      outside.clear();
    } else if (c == '}') {
      --depth;
    } else if (depth == 0 && c == ';') {
      Check(absl::StripAsciiWhitespace(outside).empty());
      outside.clear();
    } else if (depth == 0) {
      outside.push_back(c);
    }
  }
  Check(absl::StripAsciiWhitespace(outside).empty());
}

void Generate(const FileDescriptor* file) {
  for (const std::string parameter : {"", "mock=false", "empty=true", "services_namespace=rpc"}) {
    MemoryContext context;
    std::string error;
    const bool ok = weft::codegen::Generator().Generate(file, parameter, &context, &error);
    Check(ok == error.empty());
    if (!ok) continue;
    const bool none = file->service_count() == 0 && parameter != "empty=true";
    // A file without services gives nothing unless the parameter asks for it. Otherwise only the
    // mock may be left out.
    Check(context.files.size() == (none ? 0u : parameter == "mock=false" ? 2u : 3u));
    for (const auto& [name, text] : context.files) {
      const std::string code = CodeOf(Spliced(text));
      CheckClosed(code);
      if (absl::EndsWith(name, ".h")) CheckNothingStandsOutside(code);
    }
  }
}

FileDescriptorSet Parsed(const uint8_t* data, size_t size) {
  FileDescriptorSet set;
  if (data[0] % 2 != 0) {
    (void)set.ParseFromArray(data + 1, static_cast<int>(size - 1));
    return set;
  }
  google::protobuf::io::ArrayInputStream stream(data + 1, static_cast<int>(size - 1));
  NoParserErrors errors;
  google::protobuf::io::Tokenizer tokenizer(&stream, &errors);
  google::protobuf::compiler::Parser parser;
  parser.RecordErrorsTo(&errors);
  FileDescriptorProto* file = set.add_file();
  if (!parser.Parse(&tokenizer, file)) set.clear_file();
  return set;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  static const bool kQuiet = [] {
    google::protobuf::SetLogHandler(nullptr);
    return true;
  }();
  (void)kQuiet;
  // Files may import weft's options and the files that those import, so link them.
  (void)weft::service_pool.number();
  FileDescriptorSet set = Parsed(data, size);
  DescriptorPool pool(DescriptorPool::generated_pool());
  NoPoolErrors errors;
  for (FileDescriptorProto& file : *set.mutable_file()) {
    if (file.name().empty()) file.set_name("fuzz.proto");
    if (const FileDescriptor* built = pool.BuildFileCollectingErrors(file, &errors)) {
      Generate(built);
    }
  }
  return 0;
}
