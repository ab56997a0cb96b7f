"""PyTorch on the device that a bench runs on: settings, clock, energy, CUDA graphs, memory. Device
"cpu" is for trying the programs where there is no GPU."""
import ctypes
import gc
import sys
import time

import turns

# How torch.compile is asked for; "graph" is one CUDA graph of the whole eager step, "graph-compiled"
# one of the step that torch.compile made in its default mode.
COMPILE_MODES = ["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
MODES = ["eager", "graph", "graph-compiled", *COMPILE_MODES]


def missing(name):
    """Why nothing can be timed on that device here; empty where it can."""
    try:
        import torch
    except ImportError:
        return "no PyTorch"
    return "no GPU" if name == "cuda" and not torch.cuda.is_available() else ""


def energy_counter(load=ctypes.CDLL):
    """A function that tells the joules that CUDA's first GPU has drawn since its driver was loaded, or
    None; None itself where there is no such counter. NVML counts GPUs on its own, whatever
    CUDA_VISIBLE_DEVICES says: CUDA is asked where on the bus its first one is. `load` opens a library."""
    number, gpu, bus = ctypes.c_int(), ctypes.c_void_p(), ctypes.create_string_buffer(32)
    try:
        cuda, nvml = load("libcuda.so.1"), load("libnvidia-ml.so.1")
        failed = (cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(number), 0)
                  or cuda.cuDeviceGetPCIBusId(bus, len(bus), number) or nvml.nvmlInit_v2()
                  or nvml.nvmlDeviceGetHandleByPciBusId_v2(bus, ctypes.byref(gpu)))
        total = nvml.nvmlDeviceGetTotalEnergyConsumption
    except (OSError, AttributeError):  # no such library, or not this function
        return None

    def joules():
        millijoules = ctypes.c_ulonglong()
        return None if total(gpu, ctypes.byref(millijoules)) else 1e-3 * millijoules.value
    return None if failed else joules


class Meter:
    """The energy of stretches of time. Like ours (bench/gpu/meter.hpp) it tells none of less than half
    a second: the counter moves only every few tens of milliseconds."""
    SHORTEST_S = 0.5

    def __init__(self, counter, clock=time.perf_counter):
        self.counter, self.clock = counter, clock
        self.start()

    def start(self):
        self.began, self.before = self.clock(), self.counter() if self.counter else None

    def joules_per_image(self, images):
        """Since start(); None where nobody tells it."""
        if self.before is None or self.clock() - self.began < self.SHORTEST_S:
            return None
        now = self.counter()
        return None if now is None else (now - self.before) / images


class TorchDevice:
    def __init__(self, name):
        import torch
        self.torch, self.name, self.gpu = torch, name, name == "cuda"
        if self.gpu and not torch.cuda.is_available():
            raise RuntimeError("no GPU")
        self.meter = Meter(energy_counter() if self.gpu else None)
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True

    def facts(self):
        return {"engine": "pytorch", "version": str(self.torch.__version__),
                "device": self.torch.cuda.get_device_name() if self.gpu else "cpu",
                "settings": "channels-last, bf16 autocast, cudnn.benchmark, TF32, fused AdamW"}

    def fresh(self):
        """Lets go of what was made before, compiled code too."""
        self.torch.compiler.reset()
        gc.collect()
        if self.gpu:
            self.torch.cuda.synchronize()
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats()

    def wait(self):
        if self.gpu:
            self.torch.cuda.synchronize()

    def ms(self, work):
        """Milliseconds of the device (on a CPU: of the clock) from the first to the last of `work`."""
        if not self.gpu:
            begin = time.perf_counter()
            work()
            return 1e3 * (time.perf_counter() - begin)
        begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        self.torch.cuda.synchronize()
        return begin.elapsed_time(end)

    def compiled(self, function, mode, dynamic=False):
        """By torch.compile where the mode asks for it."""
        if mode == "graph-compiled":
            mode = "default"
        if mode not in COMPILE_MODES:
            return function
        return self.torch.compile(function, mode=mode, dynamic=dynamic)

    def replayed(self, work, mode, before_capture=lambda: None, stream=None):
        """`work`, or in the modes of that name the replay of one CUDA graph of it."""
        if mode not in ("graph", "graph-compiled"):
            return work
        torch = self.torch
        if not self.gpu:
            raise RuntimeError("no CUDA graphs on a CPU")
        side = stream or torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                work()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        before_capture()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            work()
        return graph.replay

    def peak_bytes(self):
        return self.torch.cuda.max_memory_allocated() if self.gpu else 0

    def held_bytes(self):
        return self.torch.cuda.max_memory_reserved() if self.gpu else 0


def serve(doc, answers_of, *words):
    """The main program of an engine: `serve [cpu|cuda]` answers requests by `answers_of(TorchDevice)`,
    whose methods have the names of the `words`. Exit status."""
    if sys.argv[1:] not in (["serve"], ["serve", "cpu"], ["serve", "cuda"]):
        print(doc)
        return 0 if "--help" in sys.argv else 2
    answers = answers_of(TorchDevice((sys.argv[2:] or ["cuda"])[0]))
    turns.serve({word: getattr(answers, word) for word in words})
    return 0
