// SPDX-License-Identifier: Apache-2.0
// Uses the installed headers and libraries: a loop that runs one task and stops.
#include <cstdio>

#include "base/event_loop.h"

int main() {
    auto loop = mimic::EventLoop::create();
    if (!loop) {
        std::fprintf(stderr, "%s\n", loop.error().message().c_str());
        return 1;
    }
    (*loop)->post([&] {
        std::puts("consumer: ran");
        (*loop)->stop();
    });
    (*loop)->run();
}
