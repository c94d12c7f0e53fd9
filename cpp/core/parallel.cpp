#include "parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace poolkit {
namespace {

// One call: pieces of [0, size) that the caller and up to `seats` helpers take one after the other.
struct Job {
  int64_t size, piece;
  void (*body)(const void* context, int64_t begin, int64_t end);
  const void* context;
  int64_t seats;
  int helpers = 0;
  std::atomic<int64_t> next{0};

  void work() {
    for (int64_t begin; (begin = next.fetch_add(piece, std::memory_order_relaxed)) < size;) {
      body(context, begin, std::min(size, begin + piece));
    }
  }
};

class Pool {
 public:
  void run(Job& job) {
    const int64_t wanted = job.seats;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      start(wanted);
      jobs_.push_back(&job);
    }
    for (int64_t i = 0; i < wanted; ++i) wake_.notify_one();
    job.work();
    // Whoever has not come by now finds nothing to do; only those at work are waited for.
    std::unique_lock<std::mutex> lock(mutex_);
    std::erase(jobs_, &job);
    left_.wait(lock, [&] { return job.helpers == 0; });
  }

 private:
  // Where no more threads are to be had, those that there are do the work.
  void start(int64_t wanted) {
    try {
      for (; threads_ < wanted; ++threads_) std::thread(&Pool::serve, this).detach();
    } catch (const std::system_error&) {
    }
  }

  void serve() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      Job* job = nullptr;
      wake_.wait(lock, [&] { return (job = open_job()) != nullptr; });
      --job->seats;
      ++job->helpers;
      lock.unlock();
      job->work();
      lock.lock();
      if (--job->helpers == 0) left_.notify_all();
    }
  }

  Job* open_job() const {
    const auto found = std::find_if(jobs_.begin(), jobs_.end(), [](const Job* job) { return job->seats > 0; });
    return found == jobs_.end() ? nullptr : *found;
  }

  std::mutex mutex_;
  std::condition_variable wake_, left_;
  std::vector<Job*> jobs_;
  int64_t threads_ = 0;
};

// Never destroyed: its threads may still wait when the process ends.
std::atomic<Pool*> current{nullptr};

// Threads do not survive a fork, and a lock may be held there for ever: the child gets a pool of its own.
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] { current.store(nullptr); });

Pool& pool() {
  Pool* found = current.load();
  if (found == nullptr) {
    Pool* fresh = new Pool;
    if (current.compare_exchange_strong(found, fresh)) return *fresh;
    delete fresh;  // another thread was quicker
  }
  return *found;
}

int default_threads() {
  if (const char* wanted = std::getenv("POOLKIT_NUM_THREADS")) {
    const long threads = std::strtol(wanted, nullptr, 10);
    if (threads >= 1) return int(std::min<long>(threads, kMostThreads));
  }
#if defined(__linux__)
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof(usable), &usable) == 0) return std::max(1, CPU_COUNT(&usable));
#endif
  return std::max(1, int(std::thread::hardware_concurrency()));
}

std::atomic<int> threads{default_threads()};

void run(int64_t size, int64_t grain, void (*body)(const void*, int64_t, int64_t), const void* context) {
  grain = std::max<int64_t>(1, grain);
  const int64_t pieces = size / grain + (size % grain != 0);
  const int64_t workers = std::min<int64_t>(num_threads(), pieces);
  if (workers <= 1) {
    if (size > 0) body(context, 0, size);
    return;
  }
  // Several pieces a thread even out what the machine does meanwhile.
  const int64_t piece = std::max(grain, (size + 4 * workers - 1) / (4 * workers));
  Job job{size, piece, body, context, workers - 1};
  pool().run(job);
}

}  // namespace

int num_threads() { return threads.load(std::memory_order_relaxed); }
void set_num_threads(int count) { threads.store(std::clamp(count, 1, kMostThreads), std::memory_order_relaxed); }

const Parallel kPoolThreads = {run};

}  // namespace poolkit
