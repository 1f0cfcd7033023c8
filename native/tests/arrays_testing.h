// What the tests of the executor and the stepper share: checks, random arrays.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace rondo::testing {

using Array = std::vector<double>;

inline int failures = 0;
inline std::string context;  // of the case that runs, for messages
inline std::mt19937 numbers(7);

inline Array random_array(std::size_t n, double bound) {
    std::uniform_real_distribution<double> uniform(-bound, bound);
    Array values(n);
    for (double& value : values) value = uniform(numbers);
    return values;
}

inline void expect(bool holds, const char* what) {
    if (holds) return;
    ++failures;
    std::fprintf(stderr, "FAILED (%s): %s\n", context.c_str(), what);
}

inline void expect_near(const Array& found, const Array& wanted, const char* what, double tolerance = 1e-10) {
    double worst = found.size() == wanted.size() ? 0 : std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < std::min(found.size(), wanted.size()); ++i) {
        const double error = std::abs(found[i] - wanted[i]);
        if (!(error <= worst)) worst = error;
    }
    if (worst < tolerance) return;
    std::fprintf(stderr, "differs by %g: ", worst);
    expect(false, what);
}

}  // namespace rondo::testing
