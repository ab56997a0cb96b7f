"""PyTorch on the device that a bench runs on: settings, clock, CUDA graphs, memory. Device "cpu" is
for trying the programs where there is no GPU."""
import gc
import time

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


class TorchDevice:
    def __init__(self, name):
        import torch
        self.torch, self.name, self.gpu = torch, name, name == "cuda"
        if self.gpu and not torch.cuda.is_available():
            raise RuntimeError("no GPU")
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
