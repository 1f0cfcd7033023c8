// What every machine of the architecture has: SSE2 on x86-64, NEON on ARM. Compiled without special flags.

#define RONDO_ISA generic
#define RONDO_VECTOR_BYTES 16

#include "table.h"

namespace rondo {
namespace generic {

extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
constexpr Kernels<float> kernels_float = make_kernels<float>("generic");
constexpr Kernels<double> kernels_double = make_kernels<double>("generic");

}  // namespace generic
}  // namespace rondo
