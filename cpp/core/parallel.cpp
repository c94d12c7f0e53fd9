#include "parallel.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace poolkit {
namespace {

struct Job {
  int64_t size, piece;
  void (*body)(const void* context, int64_t begin, int64_t end);
  const void* context;
  std::atomic<int64_t> next{0};

  void work() {
    for (int64_t begin; (begin = next.fetch_add(piece)) < size;) body(context, begin, std::min(size, begin + piece));
  }
};

class Pool {
 public:
  // False if another caller has the pool.
  bool run(Job& job, int helpers) {
    std::unique_lock<std::mutex> busy(busy_, std::try_to_lock);
    if (!busy.owns_lock()) return false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (; started_ < helpers; ++started_) std::thread(&Pool::serve, this, started_).detach();
      job_ = &job;
      wanted_ = working_ = helpers;
      ++round_;
    }
    wake_.notify_all();
    job.work();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return working_ == 0; });
    job_ = nullptr;
    return true;
  }

 private:
  void serve(int index) {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return round_ != seen && job_ != nullptr; });
      seen = round_;
      if (index >= wanted_) continue;
      Job* job = job_;
      lock.unlock();
      job->work();
      lock.lock();
      if (--working_ == 0) done_.notify_one();
    }
  }

  std::mutex busy_, mutex_;
  std::condition_variable wake_, done_;
  Job* job_ = nullptr;
  int started_ = 0, wanted_ = 0, working_ = 0;
  uint64_t round_ = 0;
};

int default_threads() {
  if (const char* wanted = std::getenv("POOLKIT_NUM_THREADS")) {
    if (const int threads = std::atoi(wanted); threads >= 1) return threads;
  }
#if defined(__linux__)
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof(usable), &usable) == 0) return std::max(1, CPU_COUNT(&usable));
#endif
  return std::max(1, int(std::thread::hardware_concurrency()));
}

std::atomic<int>& threads() {
  static std::atomic<int> count{default_threads()};
  return count;
}

// Threads do not survive a fork, so a child gets a pool of its own. Pools are never destroyed: their threads
// may still wait when the process ends.
Pool& pool() {
  static std::mutex mutex;
  static Pool* current = nullptr;
  static pid_t owner = 0;
  std::lock_guard<std::mutex> lock(mutex);
  if (current == nullptr || owner != getpid()) {
    current = new Pool;
    owner = getpid();
  }
  return *current;
}

void run(int64_t size, int64_t grain, void (*body)(const void*, int64_t, int64_t), const void* context) {
  const int64_t pieces = grain > 0 ? (size + grain - 1) / grain : size;
  const int64_t helpers = std::min<int64_t>(num_threads(), pieces) - 1;
  if (helpers > 0) {
    // Several pieces a thread even out what the machine does meanwhile.
    const int64_t piece = std::max<int64_t>(grain, (size + 4 * helpers + 3) / (4 * (helpers + 1)));
    Job job{size, piece, body, context};
    if (pool().run(job, int(helpers))) return;
  }
  body(context, 0, size);
}

}  // namespace

int num_threads() { return threads().load(); }
void set_num_threads(int count) { threads().store(count); }

const Parallel kPoolThreads = {run};

}  // namespace poolkit
