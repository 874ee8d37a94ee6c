// SPDX-License-Identifier: Apache-2.0
// systemc-accelerator SOCKET [SCALE]: the example's accelerator as the device behind SOCKET, as
// fast as it goes or at SCALE times simulated time.
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "integrations/systemc/adapter.h"
#include "integrations/systemc/example/accelerator.h"

namespace {

mimic::systemc::Adapter* running = nullptr;

void stop(int) {
    if (running != nullptr) running->stop();
}

// The pace of that name; kFast for none.
mimic::sim::Pace pace_of(std::string_view word) {
    if (word == "scaled") return mimic::sim::Pace::kScaled;
    return word == "lock-step" ? mimic::sim::Pace::kLockStep : mimic::sim::Pace::kFast;
}

}  // namespace

// SystemC's main() calls this.
int sc_main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: " << argv[0] << " SOCKET [fast|scaled|lock-step [SCALE]]\n";
        return 2;
    }
    example::Accelerator accelerator("accelerator");
    mimic::systemc::AdapterOptions options;
    options.socket = argv[1];
    options.memory_size = example::Accelerator::kMemory;
    options.compute_window = example::Accelerator::kEngine;
    if (argc > 2) options.pace = pace_of(argv[2]);
    if (argc > 3) options.scale = std::strtod(argv[3], nullptr);
    options.reset = [&] { accelerator.reset(); };
    mimic::systemc::Adapter adapter("adapter", options);
    adapter.socket.bind(accelerator.socket);

    running = &adapter;
    std::signal(SIGINT, stop);
    std::signal(SIGTERM, stop);
    const mimic::Status served = adapter.serve();
    running = nullptr;
    if (!served) std::cerr << argv[0] << ": " << served.error().message() << '\n';
    return served ? 0 : 1;
}
