// SPDX-License-Identifier: Apache-2.0
// Three forms of one thing: how a member function becomes a handler in sst-core 13, 14 and 15, and
// from 16 on. MIMIC_SST_MAJOR is the first number of `sst-config --version`, 99 for a development
// version.
#pragma once

#ifndef MIMIC_SST_MAJOR
#error "MIMIC_SST_MAJOR is not defined: build with integrations/sst/Makefile"
#endif

#include <sst/core/clock.h>
#include <sst/core/event.h>

#if MIMIC_SST_MAJOR < 14
#define MIMIC_SST_HANDLER(kind, cls, function) new kind::Handler<cls>(this, &cls::function)
#elif MIMIC_SST_MAJOR < 16
#define MIMIC_SST_HANDLER(kind, cls, function) new kind::Handler2<cls, &cls::function>(this)
#else
#define MIMIC_SST_HANDLER(kind, cls, function) new kind::Handler<cls, &cls::function>(this)
#endif

// The same with a number for the function's second argument.
#if MIMIC_SST_MAJOR < 14
#define MIMIC_SST_NUMBERED_HANDLER(kind, cls, function, number) \
    new kind::Handler<cls, int>(this, &cls::function, number)
#elif MIMIC_SST_MAJOR < 16
#define MIMIC_SST_NUMBERED_HANDLER(kind, cls, function, number) \
    new kind::Handler2<cls, &cls::function, int>(this, number)
#else
#define MIMIC_SST_NUMBERED_HANDLER(kind, cls, function, number) \
    new kind::Handler<cls, &cls::function, int>(this, number)
#endif

// Of an argument that is called `ser`.
#ifdef SST_SER
#define MIMIC_SST_SERIALIZE(member) SST_SER(member)
#else
#define MIMIC_SST_SERIALIZE(member) ser&(member)
#endif
