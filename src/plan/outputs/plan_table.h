// SPDX-License-Identifier: Apache-2.0
// What `mimic plan` prints for people: the machines of a file, and what a guest will find in each.
#pragma once

#include <cstddef>
#include <string>

#include "topology/model.h"

namespace mimic::outputs {

/// Two tables: a line a machine, and a line a function (that of a fabric among them); more than
/// seven VFs of a device share one. `columns`: how wide the terminal is; 0: no terminal, lines are
/// as long as they are, and all columns are there. On a narrow one BARs go to lines of their own,
/// then whole columns are left out, the least important first, which the last line tells; no
/// address and no name is ever cut. Pure.
std::string plan_table(const topology::Model& model, size_t columns = 0);

}  // namespace mimic::outputs
