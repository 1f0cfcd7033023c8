// Tests of the choice of an instruction set, of the elementwise functions, of packing and of the peak.

#include "kernels_testing.h"

namespace rondo::testing {

template <class T>
void test_choice() {
    context = "choose_kernels";
    std::string message;
    check(choose_kernels<T>("avx1024", &message) == nullptr, "takes an unknown name");
    check(message.find("avx1024") != std::string::npos && message.find("generic") != std::string::npos,
          "does not say what was given and what is known");
    const Kernels<T>* best = kernels_avx512<T>() ? kernels_avx512<T>()
                             : kernels_avx2<T>() ? kernels_avx2<T>()
                                                        : kernels_generic<T>();
    check(choose_kernels<T>(nullptr) == best && choose_kernels<T>("") == best, "is not the best");
    if (!kernels_avx512<T>())
        check(choose_kernels<T>("avx512", &message) == nullptr && !message.empty(), "takes what is not there");
}

const Code functions[] = {Code::sigmoid, Code::tanh, Code::exp,  Code::log, Code::softplus,
                          Code::silu,    Code::sqrt, Code::relu, Code::neg, Code::copy};

// Every float of a grid of bit patterns, which takes in all exponents, signs and NaN.
std::vector<float> samples(float) {
    std::vector<float> x;
    for (std::uint64_t bits = 0; bits < (std::uint64_t(1) << 32); bits += 2003) {
        const std::uint32_t b = static_cast<std::uint32_t>(bits);
        float f;
        std::memcpy(&f, &b, sizeof f);
        x.push_back(f);
    }
    for (int i = 0; i < 300000; ++i) x.push_back(number<float>(-110, 110));
    return x;
}

std::vector<double> samples(double) {
    std::vector<double> x;
    for (int i = 0; i < 200000; ++i) {
        const std::uint64_t bits = generator();
        double f;
        std::memcpy(&f, &bits, sizeof f);
        x.push_back(f);
        x.push_back(number<double>(-760, 760));
        x.push_back(number<double>(-3, 3));
        x.push_back(std::ldexp(number<double>(-1, 1), whole(-60, 11)));
    }
    return x;
}

template <class T>
void test_functions(const Kernels<T>& k) {
    const T infinity = std::numeric_limits<T>::infinity(), least = std::numeric_limits<T>::min();
    std::vector<T> x = samples(T(0));
    for (T special : {T(0), T(1), infinity, std::numeric_limits<T>::quiet_NaN(), least, least / 2,
                      std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::max(), T(1e30)}) {
        x.push_back(special);
        x.push_back(-special);
    }
    // Both sides of where exp, and with it sigmoid and silu, overflow or become subnormal.
    for (Wide<T> limit : {std::log(static_cast<Wide<T>>(std::numeric_limits<T>::max())), std::log(static_cast<Wide<T>>(least))})
        for (Wide<T> sign : {Wide<T>(1), Wide<T>(-1)}) {
            T up = static_cast<T>(sign * limit), down = up;
            for (int i = 0; i < 200; ++i) {
                x.push_back(up = std::nextafter(up, infinity));
                x.push_back(down = std::nextafter(down, -infinity));
            }
        }
    std::vector<T> y(x.size() + 1);
    for (Code code : functions) {
        context = std::string(k.name) + (sizeof(T) == 4 ? " float " : " double ") + name_of(code);
        const T mark = T(-77.25);
        y[x.size()] = mark;
        k.apply(code, x.data(), y.data(), static_cast<std::ptrdiff_t>(x.size()));
        check(y[x.size()] == mark, "writes beyond its end");
        double worst = 0;
        T at = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            Wide<T> want = exact<Wide<T>>(code, x[i]);
            double error = error_in_ulp<T>(y[i], want);
            if (!(error <= worst)) worst = error, at = x[i];
        }
        const bool rounded_once = code == Code::sqrt || code == Code::relu || code == Code::neg || code == Code::copy;
        char text[160];
        std::snprintf(text, sizeof text, "%.3g ulp at %.9g", worst, static_cast<double>(at));
        check(worst <= (rounded_once ? 0.5 : 4.0), text);
        if (!rounded_once) std::printf("  %-28s %s\n", context.c_str(), text);
        T zeros[2] = {T(0), -T(0)}, of_zeros[2];
        k.apply(code, zeros, of_zeros, 2);
        if (code == Code::sqrt || code == Code::copy || code == Code::silu)
            check(!std::signbit(of_zeros[0]) && std::signbit(of_zeros[1]), "loses the sign of zero");
    }
}

template <class T>
void test_packing(const Kernels<T>& k) {
    for (int lanes = 1; lanes <= PANEL; ++lanes)
        for (int along : {1, 2, 5, 15, 16, 17, 33, 48}) {
            const int step = PANEL + whole(0, 2) * PANEL;
            for (bool transposed : {true, false}) {
                context = std::string(k.name) + (transposed ? " pack_rows " : " pack_columns ") +
                          std::to_string(lanes) + " lanes of " + std::to_string(along);
                // pack_rows reads `lanes` rows of `along` columns, pack_columns `along` rows of `lanes` columns.
                const int rows = transposed ? lanes : along, columns = transposed ? along : lanes;
                const int row = columns + whole(0, 4);
                Buffer<T> src((rows - 1) * row + columns), dst((along - 1) * step + PANEL);
                for (int r = 0; r < rows; ++r)
                    for (int c = 0; c < columns; ++c) src[r * row + c] = number<T>();
                std::vector<T> expected = dst.copy();
                for (int n = 0; n < along; ++n)
                    for (int lane = 0; lane < PANEL; ++lane)
                        expected[n * step + lane] =
                            lane >= lanes ? T(0) : transposed ? src[lane * row + n] : src[n * row + lane];
                if (transposed)
                    k.pack_rows(src.data(), row, rows, columns, dst.data(), step);
                else
                    k.pack_columns(src.data(), row, rows, columns, dst.data(), step);
                check(dst.equals(expected), "wrong elements");
                if (!transposed) continue;
                Buffer<T> back((rows - 1) * row + columns);
                k.unpack_rows(dst.data(), step, rows, columns, back.data(), row);
                check(back.equals(src.copy()), "not undone by unpack_rows");
            }
        }
}

template <class T>
void test_putting(const Kernels<T>& k) {
    for (int n : {0, 1, 15, 16, 17, 32, 100}) {
        for (int off : {0, 1, 16}) {
            context = std::string(k.name) + " put " + std::to_string(n) + " at " + std::to_string(off);
            const int aligned = 64 / sizeof(T);  // the buffer ends at a page
            Buffer<T> src(n), dst((n + off + aligned) / aligned * aligned);
            for (int i = 0; i < n; ++i) src[i] = number<T>();
            std::vector<T> expected = dst.copy();
            for (int i = 0; i < n; ++i) expected[off + i] = src[i];
            k.put(src.data(), dst.data() + off, n);
            check(dst.equals(expected), "wrong elements");
        }
    }
}

template <class T>
void test_table(const Kernels<T>& k) {
    context = k.name;
    std::string message;
    check(choose_kernels<T>(k.name, &message) == &k && message.empty(), "cannot be chosen by name");
    const double once = k.peak(1000);
    check(once >= 1000 && k.peak(3000) == 3 * once, "peak does not count its operations");
}

}  // namespace rondo::testing

int main() {
    using namespace rondo::testing;
    test_choice<float>();
    test_choice<double>();
    return run_on_all([](const auto& k) {
        test_table(k);
        test_functions(k);
        test_packing(k);
        test_putting(k);
    });
}
