// AVX2 with FMA. Compiled with -mavx2 -mfma -mf16c; empty but on x86-64.

#if defined(__x86_64__)

#define RONDO_ISA avx2
#define RONDO_VECTOR_BYTES 32

#include "table.h"

namespace rondo {
namespace avx2 {

extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
constexpr Kernels<float> kernels_float = make_kernels<float>("avx2");
constexpr Kernels<double> kernels_double = make_kernels<double>("avx2");

}  // namespace avx2
}  // namespace rondo

#endif
