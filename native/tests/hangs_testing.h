// For tests of what could wait for ever.

#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace rondo::testing {

// The program fails when it has not ended so many seconds from now.
inline void end_within(int seconds) {
    std::thread([seconds] {
        std::this_thread::sleep_for(std::chrono::seconds(seconds));
        std::fprintf(stderr, "FAILED: something hangs\n");
        std::_Exit(1);
    }).detach();
}

}  // namespace rondo::testing
