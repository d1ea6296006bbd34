#include "weft/core/random_source.h"

namespace weft::internal {
namespace {

constinit thread_local RandomSource* current_source = nullptr;

}  // namespace

RandomSource* RandomSource::Here() { return current_source; }

RandomSource::Scope::Scope(RandomSource& source) : outer_(current_source) {
  current_source = &source;
}
RandomSource::Scope::~Scope() { current_source = outer_; }

}  // namespace weft::internal
