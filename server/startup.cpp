#include "server/startup.h"

#include <sys/resource.h>

#include "base/bytes.h"
#include "base/file.h"

namespace tessera::server {

Handler starting_handler(Refuse refuse) {
  return [refuse = std::move(refuse)](const api::HttpRequest& request) {
    const std::string_view path = request.target.substr(0, request.target.find('?'));
    if (path == "/livez" || path == "/healthz") {
      api::HttpResponse alive;
      alive.content_type = "text/plain";
      alive.body = "healthz check passed";
      return alive;
    }
    if (path == "/readyz") {
      api::HttpResponse starting;
      starting.status = 503;
      starting.content_type = "text/plain";
      starting.body = "starting";
      return starting;
    }
    api::HttpResponse starting = refuse(503, "the database is starting");
    starting.headers.emplace_back("Retry-After", "1");
    return starting;
  };
}

std::uint64_t raise_open_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

Status write_port_file(const std::string& path, std::uint16_t port) {
  FileSystem& files = posix_file_system();
  const std::string temporary = path + ".tmp";
  TESSERA_ASSIGN_OR_RETURN(const auto file, files.create(temporary));
  TESSERA_RETURN_IF_ERROR(file->append(as_bytes(std::to_string(port) + "\n")));
  TESSERA_RETURN_IF_ERROR(file->close());
  return files.rename(temporary, path);
}

}  // namespace tessera::server
