// The traits of the methods, where code that belongs to no instruction set can read them.
#define POOLKIT_ISA_NAMESPACE traits
#include "kernels.h"
#include "reducers.h"

namespace poolkit {

const MethodInfo methods[] = {
#define POOLKIT_INFO(name, Method)                          \
  {#name,                                                   \
   traits::Method::kNeeds,                                  \
   traits::Method::kScatters,                               \
   traits::Method::Reducer<float, false>::kLinear,          \
   traits::kSelects<traits::Method::Reducer<float, false>>, \
   traits::kShares<traits::Method::Reducer<float, false>>,  \
   traits::kTakesLogits<traits::Method>,                    \
   traits::kSumsExponentials<traits::Method::Reducer<float, false>>},
    POOLKIT_REDUCERS(POOLKIT_INFO)
#undef POOLKIT_INFO
};
const int kMethods = int(sizeof(methods) / sizeof(methods[0]));

}  // namespace poolkit
