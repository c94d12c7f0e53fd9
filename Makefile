# make demo      set up, build, pool a bird's song and leave the picture in build/demo.png
# make test      set up, build, run every check and test
# make test-onnx  export every method and layer to ONNX and compare, in OpenVINO too
# make examples  train and run every application of examples/
# make bench     compare with torch and with copying the same bytes
# make bench-recipes  compare with what people write where torch has no such pooling, time and memory
# make bench-peers, make bench-check  compare with other libraries; count the instructions of some kernels
# make census    the poolings of some two hundred architectures of timm: minutes, and timm and torchvision
# make pictures  draw the pictures of docs/images again
# make sanitize  the C++ sweep under AddressSanitizer and UndefinedBehaviorSanitizer
# make sanitize-threads  the same under ThreadSanitizer
# make lint, make format, make clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
BUILD := build/make
INSTALL := $(PIP) install --no-build-isolation --config-settings=build-dir=$(BUILD) \
	--config-settings=cmake.define.POOLKIT_TESTS=ON --editable
CPP := $(wildcard cpp/*/*.cpp cpp/*/*.h cpp/*/*/*.h)

.PHONY: demo test test-onnx examples census bench bench-recipes bench-peers bench-check pictures sanitize sanitize-threads lint check format clean
.DELETE_ON_ERROR:

demo: $(VENV)/sample $(BUILD)/installed
	$(BIN)/poolkit show birds_10s --start 1.5 --end 4.5 --sample-rate 16000 --n-fft 512 --hop-length 256 \
		--method max --method avg --kernel-size 2 -o build/demo.png

test: $(VENV)/sample $(VENV)/data $(BUILD)/installed
	$(BIN)/cmake --build $(BUILD) --target sweep
	$(BIN)/ctest --test-dir $(BUILD) --output-on-failure --parallel 2
	$(MAKE) check
	$(BIN)/pytest -n 2

test-onnx: $(BUILD)/installed
	$(PIP) install openvino
	$(BIN)/pytest tests/test_onnx.py -m "slow or not slow"

examples: $(VENV)/sample $(VENV)/data $(BUILD)/installed
	for example in $(filter-out examples/data.py,$(wildcard examples/*.py)); do \
		echo "== $$example" && $(BIN)/python $$example || exit; \
	done

census: $(VENV)/timm $(BUILD)/installed
	$(BIN)/pytest -m slow -s tests/test_census.py

bench: $(BUILD)/installed
	$(BIN)/python benchmarks/run.py --peer poolkit --peer torch

bench-recipes: $(BUILD)/installed
	$(BIN)/python benchmarks/recipes.py

bench-peers: $(BUILD)/installed
	$(INSTALL) '.[bench]'
	$(BIN)/python benchmarks/run.py

bench-check: $(BUILD)/installed
	$(BIN)/cmake --build $(BUILD) --target instructions
	$(BIN)/python benchmarks/instructions.py --driver $(BUILD)/instructions

pictures: $(VENV)/sample $(BUILD)/installed
	$(BIN)/python tools/pictures.py

# Build trees without Python, for the instruction sets that run here; of threads any will do. Fewer random geometries: each
# costs some twenty times as much here.
sanitize: $(VENV)/tools
	$(BIN)/cmake -S . -B build/sanitize -DPOOLKIT_TESTS=ON -DPOOLKIT_SANITIZE=address,undefined \
		-DPOOLKIT_X86_LEVEL=$(if $(shell grep -m 1 avx512f /proc/cpuinfo),4,3)
	$(BIN)/cmake --build build/sanitize --target sweep --parallel 2
	printf '0\n1\n' | xargs -P 2 -I {} build/sanitize/sweep 40 {} 2

sanitize-threads: $(VENV)/tools
	$(BIN)/cmake -S . -B build/threads -DPOOLKIT_TESTS=ON -DPOOLKIT_SANITIZE=thread -DPOOLKIT_X86_LEVEL=2
	$(BIN)/cmake --build build/threads --target sweep --parallel 2
	printf '0\n1\n' | xargs -P 2 -I {} build/threads/sweep 3 {} 2

lint: check
	$(BIN)/clang-format --dry-run --Werror $(CPP)

check: $(BUILD)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python tools/stubs.py --check
	$(BIN)/python tools/docs.py --check
	$(BIN)/python tools/features.py --check

format: $(VENV)/tools
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CPP)

clean:
	rm -rf build dist src/poolkit/*.so

# torch comes first, and the build sees it because it is not isolated: with isolation pip would fetch a second one.
$(VENV)/tools: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install torch==2.13.0
	$(PIP) install cmake ninja \
		$$($(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'])")
	touch $@

# Editable: Python files need no new installation, C++ files are compiled again as far as they changed.
$(BUILD)/installed: $(VENV)/tools CMakeLists.txt $(CPP)
	$(INSTALL) '.[torch,show,onnx,examples,test,dev]'
	touch $@

# Without dependencies: torchvision would bring a torch of its own.
$(VENV)/timm: $(VENV)/tools
	$(PIP) install --no-deps torchvision==0.28.0 timm==1.0.31
	$(PIP) install huggingface_hub safetensors pyyaml pillow
	touch $@

# Only its recording is wanted, not the dependencies.
$(VENV)/sample: $(VENV)/tools
	$(PIP) install --no-deps opensoundscape==0.13.2
	touch $@

# So it is with the data of the examples.
$(VENV)/data: $(VENV)/tools examples/data.txt
	$(PIP) install --no-deps --requirement examples/data.txt
	touch $@
