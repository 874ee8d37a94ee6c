// SPDX-License-Identifier: Apache-2.0
// cuda_test.cpp on the GPU of this machine, if it has one.
#include <gtest/gtest.h>

#include <cstdio>

#include "mediator/backend/executor.h"

int main(int count, char** words) {
    ::testing::InitGoogleTest(&count, words);
    const auto made = mimic::mediator::backend::make_cuda_executor({});
    if (!made) {
        std::printf("SKIP: %s\n", made.error().message().c_str());
        return 77;
    }
    return RUN_ALL_TESTS();
}
