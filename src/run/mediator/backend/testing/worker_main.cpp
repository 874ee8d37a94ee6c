// SPDX-License-Identifier: Apache-2.0
// A backend's process for tests and benches, as mimic-mediator has it: `mediator_worker backend
// ...`.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "mediator/backend/worker.h"

int main(int count, char** words) {
    if (count < 2 || std::strcmp(words[1], "backend") != 0) {
        std::fputs("usage: mediator_worker backend ...\n", stderr);
        return 2;
    }
    return mimic::mediator::backend::run_worker(std::vector<std::string>(words + 2, words + count));
}
