// Lists of a table's rows (ops/update.h): those that are not 0 are packed, lists of several processes added, rows of a
// list put in their places.
#pragma once

#include "cpu/workspace.h"
#include "ops/ops.h"

namespace longstride::cpu {

bool is_zero(const float* x, std::int64_t count);  // all of them; -0 is zero too

std::int64_t pack_rows_workspace_bytes(const PackRows& op);
void pack_rows(const PackRows& op, Workspace& workspace);
std::int64_t sum_rows_workspace_bytes(const SumRows& op);
void sum_rows(const SumRows& op, Workspace& workspace);
void put_rows(const PutRows& op);

}  // namespace longstride::cpu
