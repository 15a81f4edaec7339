#include "bench/support/run_setting.h"

#include <cstdio>

#include "base/metric.h"

namespace tessera::bench {

void report_setting(const Workload& workload, const RunSetting& setting, Report& report) {
  const std::string machine = machine_line();
  std::printf("%s: %zu x %zu, %s, %zu queries, M %u, efConstruction %u (ours: %zu)\n%s\n",
              workload.name.c_str(), workload.rows.row_count, workload.rows.dim,
              metric_name(workload.metric), workload.queries.row_count, setting.shape.m,
              setting.shape.ef_construct, setting.own_ef_construct, machine.c_str());
  report.add_json("machine", machine);
  report.add_json("command", setting.command);
  report.add_json("setting", {{"rows", workload.rows.row_count},
                              {"dim", workload.rows.dim},
                              {"metric", metric_name(workload.metric)},
                              {"queries", workload.queries.row_count},
                              {"m", setting.shape.m},
                              {"ef_construct", setting.shape.ef_construct},
                              {"own_ef_construct", setting.own_ef_construct},
                              {"build_threads", setting.shape.thread_count}});
}

}  // namespace tessera::bench
