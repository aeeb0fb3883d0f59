// This draws tables of rows, most of them 0, for the operations on lists of rows. Nothing may be rounded but sums,
// once.
#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "doctor/trials.h"

namespace longstride::doctor {

namespace {

struct List {
  std::vector<std::int64_t> count = {0};
  std::vector<std::int32_t> rows;
  std::vector<float> values;
  RowList list() { return {array_of(count), array_of(rows), array_of(values)}; }
  // Of as many rows as it has.
  Values all() {
    Values all(rows.begin(), rows.begin() + list().size());
    const std::int64_t row = std::ssize(values) / std::ssize(rows);
    all.insert(all.begin(), static_cast<double>(count[0]));
    all.insert(all.end(), values.begin(), values.begin() + list().size() * row);
    return all;
  }
};

struct ListOperands {
  ListOperands(Draw& draw, std::int64_t lists) : row(draw.size(64)), rows(draw.from(2, 600)) {
    for (std::int64_t table = 0; table <= lists; ++table) {
      tables.push_back(random_floats(rows * row, draw.seed()));
      for (std::int64_t r = 0; r < rows; ++r)
        if (draw.from(0, 3) > 0) std::fill_n(tables.back().begin() + r * row, row, 0.0f);
    }
  }
  std::string words() const { return fmt::format("{} rows of {}", rows, row); }
  List nothing() const {
    return {{0}, std::vector<std::int32_t>(static_cast<std::size_t>(rows)), std::vector<float>(tables[0].size(), NAN)};
  }
  // The rows of a table that are not 0, found here.
  List list_of(std::vector<float>& table) const {
    List list = nothing();
    const definitions::RowListValues found =
        definitions::pack_rows({array_of(table), array_of(table), row, list.list()});
    list.count[0] = static_cast<std::int64_t>(found.count);
    std::transform(found.rows.begin(), found.rows.end(), list.rows.begin(),
                   [](double r) { return static_cast<std::int32_t>(r); });
    std::transform(found.values.begin(), found.values.end(), list.values.begin(),
                   [](double x) { return static_cast<float>(x); });
    return list;
  }
  std::int64_t row, rows;
  std::vector<std::vector<float>> tables;
};

}  // namespace

Trial pack_rows_trial(Draw& draw, DType) {
  const auto o = std::make_shared<ListOperands>(draw, 1);
  Trial trial{o->words()};
  List list = o->nothing();
  const definitions::RowListValues want =
      definitions::pack_rows({array_of(o->tables[0]), array_of(o->tables[1]), o->row, list.list()});
  trial.want(joined({{want.count}, want.rows, want.values}), 0, 0);
  trial.made = [o](const RunAll& run) {
    List made = o->nothing();
    run({PackRows{array_of(o->tables[0]), array_of(o->tables[1]), o->row, made.list()}});
    return made.all();
  };
  return trial;
}

Trial sum_rows_trial(Draw& draw, DType) {
  const std::int64_t processes = std::int64_t{1} << draw.from(1, 3), rank = draw.from(0, processes - 1);
  const auto o = std::make_shared<ListOperands>(draw, processes - 1);
  Trial trial{fmt::format("{}, {} of {} processes", o->words(), rank, processes)};
  const auto made = [o, rank](const std::function<Values(const SumRows&)>& by) {
    std::vector<float> own = o->tables[0];
    std::vector<List> lists;
    for (std::size_t p = 1; p < o->tables.size(); ++p) lists.push_back(o->list_of(o->tables[p]));
    SumRows op{array_of(own), o->row, rank, {}};
    for (List& list : lists) op.others.push_back(list.list());
    const Values of_definition = by(op);
    return of_definition.empty() ? as_values(own) : of_definition;
  };
  trial.want(made([](const SumRows& op) { return definitions::sum_rows(op); }), 0, 0);
  trial.made = [made](const RunAll& run) {
    return made([&](const SumRows& op) {
      run({op});
      return Values();
    });
  };
  return trial;
}

Trial put_rows_trial(Draw& draw, DType) {
  const auto o = std::make_shared<ListOperands>(draw, 1);
  Trial trial{o->words()};
  List list = o->list_of(o->tables[0]);
  trial.want(definitions::put_rows({array_of(o->tables[1]), o->row, list.list()}), 0, 0);
  trial.made = [o](const RunAll& run) {
    std::vector<float> to = o->tables[1];
    List of = o->list_of(o->tables[0]);
    run({PutRows{array_of(to), o->row, of.list()}});
    return as_values(to);
  };
  return trial;
}

}  // namespace longstride::doctor
