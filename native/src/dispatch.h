// The choice of an instruction set when the engine is loaded.

#pragma once

#include <string>

#include "kernels.h"

namespace rondo {

// The best table that the machine can run, or the one named by `forced` (avx512, avx2, generic), the value of
// the environment variable RONDO_ISA; nullptr and "" force nothing. An unknown name, or one that the machine
// cannot run, gives nullptr, and the reason in `message` where that is not nullptr.
template <class T>
const Kernels<T>* choose_kernels(const char* forced, std::string* message = nullptr);

}  // namespace rondo
