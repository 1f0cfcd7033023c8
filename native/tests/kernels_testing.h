// What the tests of the kernels share: checks, memory that is watched, and the functions in a wider type.
//
// Every buffer ends at an unreadable page and is filled with NaN where nothing is to be read: a read one
// element too far is a crash or a NaN, a write beside its place a change that is found.

#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "dispatch.h"

namespace rondo::testing {

inline int failures = 0;
inline long checks = 0;
inline std::string context;  // what is being tested, for the message

inline void check(bool good, const std::string& what) {
    ++checks;
    if (good) return;
    if (++failures <= 40) std::printf("FAILED %s: %s\n", context.c_str(), what.c_str());
}

template <class T>
struct Wider;
template <>
struct Wider<float> {
    using Type = double;
};
template <>
struct Wider<double> {
    using Type = long double;
};
template <class T>
using Wide = typename Wider<T>::Type;

inline std::mt19937_64 generator(20250731);

inline int whole(int low, int high) { return std::uniform_int_distribution<int>(low, high)(generator); }

template <class T>
T number(double low = -2, double high = 2) {
    return static_cast<T>(std::uniform_real_distribution<double>(low, high)(generator));
}

// Memory of so many elements that ends at a page that must not be touched; NaN at first.
template <class T>
class Buffer {
  public:
    explicit Buffer(std::size_t count) : count_(count) {
        const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        const std::size_t pages = (count * sizeof(T) + page - 1) / page;
        bytes_ = (pages + 1) * page;
        map_ = static_cast<char*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (map_ == MAP_FAILED || mprotect(map_ + pages * page, page, PROT_NONE) != 0) {
            std::perror("test buffer");
            std::exit(2);
        }
        data_ = reinterpret_cast<T*>(map_ + pages * page) - count;
        for (std::size_t i = 0; i < count; ++i) data_[i] = std::numeric_limits<T>::quiet_NaN();
    }
    ~Buffer() { munmap(map_, bytes_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    T* data() { return data_; }
    T& operator[](std::size_t i) { return data_[i]; }
    std::vector<T> copy() const { return std::vector<T>(data_, data_ + count_); }
    // Elements that differ in their bits from an earlier copy.
    bool equals(const std::vector<T>& earlier) const {
        return std::memcmp(data_, earlier.data(), count_ * sizeof(T)) == 0;
    }

  private:
    std::size_t count_, bytes_;
    char* map_;
    T* data_;
};

template <class W>
W exact(Code code, W x) {
    const W e = std::exp(-std::fabs(x));
    switch (code) {
        case Code::sigmoid: return x < 0 ? e / (1 + e) : 1 / (1 + e);
        case Code::tanh: return std::tanh(x);
        case Code::exp: return std::exp(x);
        case Code::log: return std::log(x);
        case Code::softplus: return (x > 0 ? x : (x == x ? W(0) : x)) + std::log1p(e);
        case Code::silu:
            // Where W has no more exponents than double, e is subnormal there, and the result is not.
            if (x < -600) return x * std::exp(x / 2) * std::exp(x / 2);
            return x < 0 ? x * e / (1 + e) : x / (1 + e);
        case Code::sqrt: return std::sqrt(x);
        case Code::relu: return x < 0 ? W(0) : x;
        case Code::neg: return -x;
        default: return x;
    }
}

// Error in units in the last place of a normal result; infinite for a wrong infinity, NaN or result near zero.
template <class T>
double error_in_ulp(T got, Wide<T> want) {
    const Wide<T> largest = std::numeric_limits<T>::max(), least = std::numeric_limits<T>::min();
    const double wrong = std::numeric_limits<double>::infinity();
    if (want != want) return got != got ? 0 : wrong;
    if (got != got) return wrong;
    if (std::fabs(want) < least) return std::fabs(static_cast<Wide<T>>(got)) <= least * 1.000001L ? 0 : wrong;
    if (std::fabs(want) > largest) {
        const T infinite = want > 0 ? std::numeric_limits<T>::infinity() : -std::numeric_limits<T>::infinity();
        return got == infinite ? 0 : wrong;
    }
    if (std::isinf(got)) return wrong;
    const int digits = std::numeric_limits<T>::digits;
    const Wide<T> ulp = std::ldexp(Wide<T>(1), std::ilogb(want) - digits + 1);
    return static_cast<double>(std::fabs(static_cast<Wide<T>>(got) - want) / ulp);
}

inline const char* name_of(Code code) {
    static const char* names[] = {"copy", "add",     "sub",     "mul",  "div",         "neg",      "maximum",
                                  "minimum", "sigmoid", "tanh",    "relu", "exp",         "log",      "softplus",
                                  "silu", "sqrt",    "fma",     "fms",  "fnma",        "mul_sigmoid", "mul_tanh",
                                  "sigmoid_gradient", "tanh_gradient", "select_lt", "select_le", "share",
                                  "mul_complement", "reduce", "sum_rows"};
    return names[static_cast<int>(code)];
}

// Runs the tests for all instruction sets and both types; the exit status of the program.
template <class Tests>
int run_on_all(Tests tests) {
    const auto run = [&](const auto* kernels, const char* name) {
        if (!kernels)
            std::printf("%s: skipped, this machine or this build does not have it\n", name);
        else
            tests(*kernels);
    };
    run(kernels_avx512<float>(), "avx512");
    run(kernels_avx512<double>(), "avx512");
    run(kernels_avx2<float>(), "avx2");
    run(kernels_avx2<double>(), "avx2");
    run(kernels_generic<float>(), "generic");
    run(kernels_generic<double>(), "generic");
    std::printf("%ld checks, %d failed\n", checks, failures);
    return failures ? 1 : 0;
}

}  // namespace rondo::testing
