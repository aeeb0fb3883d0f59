// This reads what launchers leave in the environment, and joins as they say.
#include "longstride/launch.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "longstride/error.h"

namespace longstride {

namespace {

constexpr int kMostProcesses = 1 << 20;

[[noreturn]] void refuse_missing(const char* variable, const std::string& why) {
  throw_invalid(fmt::format("{}: is missing, and is needed {}", variable, why));
}

struct Count {
  int rank = 0, size = 1;
  bool operator==(const Count&) const = default;
};

// rack[1-2]node[01-04,07]-ib,other -> rack1node01-ib
std::string first_node(const std::string& list) {
  std::string name;
  for (std::size_t at = 0; at < list.size() && list[at] != ',';) {
    if (list[at] != '[') {
      name += list[at++];
      continue;
    }
    name += list.substr(at + 1, list.find_first_of(",-]", at) - at - 1);
    at = std::min(list.find(']', at), list.size() - 1) + 1;
  }
  return name;
}

// What launchers leave.
class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {}

  // None where it is not set, or to nothing.
  std::optional<std::string> text_of(const char* variable) const {
    const char* text = environment_(variable);
    return text == nullptr || *text == '\0' ? std::nullopt : std::optional<std::string>(text);
  }

  std::optional<int> number_of(const char* variable, int least, int end) const {
    const std::optional<std::string> text = text_of(variable);
    if (!text) return std::nullopt;
    int number = 0;
    const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || stop != text->data() + text->size() || number < least || number >= end)
      throw_invalid(fmt::format("{}: needs a whole number in [{}, {}), got \"{}\"", variable, least, end, *text));
    return number;
  }

  std::optional<Count> count_of(const char* rank_variable, const char* size_variable) const {
    const std::optional<int> size = number_of(size_variable, 1, kMostProcesses);
    if (!size) {
      if (text_of(rank_variable)) refuse_missing(size_variable, fmt::format("beside {}", rank_variable));
      return std::nullopt;
    }
    const std::optional<int> rank = number_of(rank_variable, 0, *size);
    if (*size == 1) return Count{};
    if (!rank) refuse_missing(rank_variable, fmt::format("where {} is {}", size_variable, *size));
    return Count{*rank, *size};
  }

  // Tasks of a step, as srun starts them. A script that sbatch runs is no task, and has the variables of the job.
  std::optional<Count> slurm_count() const {
    if (!text_of("SLURM_PROCID")) return std::nullopt;
    if (text_of("SLURM_STEP_NUM_TASKS")) return count_of("SLURM_PROCID", "SLURM_STEP_NUM_TASKS");
    if (text_of("ENVIRONMENT") == "BATCH" || !text_of("SLURM_NTASKS")) return std::nullopt;
    return count_of("SLURM_PROCID", "SLURM_NTASKS");
  }

  std::optional<Count> mpi_count() const {
    if (text_of("OMPI_COMM_WORLD_SIZE")) return count_of("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE");
    if (text_of("PMI_SIZE")) return count_of("PMI_RANK", "PMI_SIZE");  // MPICH, and what speaks its protocol
    return text_of("PMIX_RANK") ? slurm_count() : std::nullopt;        // srun --mpi=pmix
  }

  std::string host_of_first(const std::string& why) const {
    if (const std::optional<std::string> host = text_of("MASTER_ADDR")) return *host;
    for (const char* nodes : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"})
      if (const std::optional<std::string> list = text_of(nodes)) return first_node(*list);
    refuse_missing("MASTER_ADDR", why + ": the host of process 0");
  }

  // torchrun may listen at MASTER_PORT itself: the next one is ours. Jobs of SLURM that share a machine get their own,
  // below those that systems give away by themselves.
  int port_of_first(const std::string& why) const {
    constexpr int kPorts = 1 << 16, kFirst = 1 << 14, kShare = 1 << 14;
    const int next = text_of("TORCHELASTIC_USE_AGENT_STORE") == "True" ? 1 : 0;
    if (const std::optional<int> port = number_of("MASTER_PORT", 1, kPorts - next)) return *port + next;
    if (const std::optional<std::string> job = text_of("SLURM_JOB_ID"))
      return kFirst + static_cast<int>((std::strtoul(job->c_str(), nullptr, 10) * 31 +
                                        std::strtoul(text_of("SLURM_STEP_ID").value_or("0").c_str(), nullptr, 10)) %
                                       kShare);
    refuse_missing("MASTER_PORT", why + ": where process 0 takes connections, 29500 say");
  }

 private:
  const Environment& environment_;
};

}  // namespace

Launch find_launch(const Environment& environment) {
  const Variables variables(environment);
  Launch launch;
  const std::optional<Count> mpi = variables.mpi_count(), given = variables.count_of("RANK", "WORLD_SIZE");
  // A torchrun that a launcher of MPI started has processes of its own, which MPI does not know. Without one, variables
  // of a single process are left over in the shell.
  const bool left_over = given && given->size == 1 && !variables.text_of("TORCHELASTIC_RUN_ID");
  const bool by_mpi = mpi && mpi->size > 1 && (!given || left_over || *given == *mpi);
  const std::optional<Count> count = by_mpi ? mpi : given ? given : variables.slurm_count();
  if (!count || count->size == 1) return launch;
  launch.place.rank = count->rank;
  launch.place.size = count->size;
  constexpr int kDay_s = 24 * 60 * 60;
  launch.patience_s = variables.number_of("LONGSTRIDE_MEETING_S", 1, kDay_s).value_or(launch.patience_s);
  launch.silence_s = variables.number_of("LONGSTRIDE_SILENCE_S", 1, kDay_s).value_or(launch.silence_s);
  launch.by_mpi = by_mpi && built_with_mpi();
  if (launch.by_mpi) return launch;
  const std::string why = by_mpi ? "as this build has no MPI" : fmt::format("for {} processes", count->size);
  launch.place.host = variables.host_of_first(why);
  launch.place.port = variables.port_of_first(why);
  return launch;
}

std::shared_ptr<World> join_launched(const Launch& launch, Joining joining) {
  joining.patience_s = launch.patience_s;
  joining.silence_s = launch.silence_s;
  if (!launch.by_mpi) return join_world_by_tcp(launch.place, joining);
  std::shared_ptr<World> world = join_world_by_mpi(joining);
  if (size_of(*world) == launch.place.size) return world;
  const std::string sentence = fmt::format(
      "the launcher started {} processes and this build's MPI finds {}: it is another MPI's launcher; "
      "use its own mpirun, or let the processes speak TCP (srun --mpi=none, torchrun)",
      launch.place.size, size_of(*world));
  throw Error(ErrorKind::unavailable, sentence);
}

}  // namespace longstride
