# Every command of the project. `make help` prints the targets.

PYTHON ?= python3
VENV := .venv
BENCH := .venv-bench
RUN := $(VENV)/bin/python
export MLFLOW_DISABLE_TELEMETRY := true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false

# What `make pipeline-run` is told; params.yaml has the defaults.
EXPERIMENTS ?=
SEEDS ?=
SET ?=
# What `make sweep` is told besides.
EXPERIMENT ?=
OVER ?=
TRIALS ?=
# Where it runs: here (local, or docker for containers), or on Kubeflow where KFP_HOST is its address.
RUNNER ?= local
KFP_HOST ?=
KFP_NAMESPACE ?=
WAIT ?=
CHECK ?=
CACHE ?=
CRON ?=
# The image: its registry, the base that it is built on, and a reference in place of this tree's own.
REGISTRY ?=
IMAGE_BASE ?= python:3.11-slim-bookworm
IMAGE ?=
DATASET ?= omniglot
PORT ?= 5000

.DEFAULT_GOAL := help
.PHONY: help predict serve deploy setup setup-dev pipeline-run pipeline-upload pipeline-runs pipeline-schedule pipeline-compile image image-push image-serving test test-slow lint \
  publish transfer evaluate-published docs site bench format data sweep tune repro plots ui rollback lock clean

# What a user gives reaches commands as it is: quoted for the shell, and never expanded by make. $(call quoted,NAME)
# is one word, $(call each,NAME) each of its words; $(call option,--flag,NAME) and $(call options,--flag,NAME) are
# a flag with it, where it is given.
GIVEN = EXPERIMENTS SEEDS SET RUNNER KFP_HOST KFP_NAMESPACE WAIT CHECK CACHE CRON REGISTRY IMAGE_BASE IMAGE DATASET \
  EXPERIMENT OVER TRIALS FIRST DATA_SOURCE PORT MODEL VERSION ALIAS SUPPORT QUERIES OUTPUT GOAL SEED RATES WORKLOADS ROUNDS
unexport $(GIVEN)
define newline


endef
literal = '$(subst $(newline), ,$(subst ','\'',$(1)))'
quoted = $(call literal,$(value $(1)))
each = $(foreach one,$(value $(1)),$(call literal,$(one)))
option = $(if $(value $(2)),$(1) $(call quoted,$(2)))
options = $(if $(value $(2)),$(1) $(call each,$(2)))

LANES = $(call options,--experiments,EXPERIMENTS) $(TRAININGS)
CLUSTER = --host $(call quoted,KFP_HOST) $(call option,--namespace,KFP_NAMESPACE) --base $(call quoted,IMAGE_BASE) \
  $(call option,--image,IMAGE) $(call option,--registry,REGISTRY) \
  $(call option,--cache,CACHE)
TRAININGS = $(call options,--seeds,SEEDS) $(call options,--set,SET) $(call option,--check,CHECK)
PLACE = $(if $(value KFP_HOST),$(CLUSTER) $(if $(value WAIT),--wait),--runner $(call quoted,RUNNER) \
  --base $(call quoted,IMAGE_BASE) $(call option,--image,IMAGE) $(call option,--cache,CACHE))
CONTAINERS = $(if $(filter docker,$(value RUNNER)),$(if $(value IMAGE),,image))
WHICH = $(call quoted,MODEL) $(call option,--version,VERSION) $(call option,--alias,ALIAS)

##@ Start

help:  ## Print the targets
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' \
	  $(MAKEFILE_LIST)

pipeline-run: setup $(CONTAINERS)  ## Run experiments: EXPERIMENTS="sinusoid-5shot" SEEDS="1 2" SET="train.iterations=2000" RUNNER=docker KFP_HOST=https://… WAIT=1
	@$(RUN) -m $(if $(value KFP_HOST),pipelines.kubeflow submit,pipelines) $(PLACE) $(LANES)

##@ On Kubeflow

pipeline-schedule: setup  ## Run experiments on Kubeflow again and again: CRON="0 0 3 * * *" KFP_HOST=https://…
	@$(RUN) -m pipelines.kubeflow schedule $(CLUSTER) --cron $(call quoted,CRON) $(LANES)

pipeline-upload: setup  ## Keep the pipeline on Kubeflow as a version that its UI can start and compare: KFP_HOST=https://…
	@$(RUN) -m pipelines.kubeflow upload $(CLUSTER) $(LANES)

pipeline-runs: setup  ## List the last runs on Kubeflow, with state and address: KFP_HOST=https://…
	@$(RUN) -m pipelines.kubeflow runs $(CLUSTER) $(call options,--set,SET)

pipeline-compile: setup  ## Write the pipeline for Kubeflow alone, to pipeline.yaml
	@$(RUN) -m pipelines.kubeflow compile $(CLUSTER) $(LANES)

##@ Images

image: setup  ## Build the image of every step: REGISTRY=… IMAGE_BASE=…
	@$(RUN) -m pipelines.image --build --base $(call quoted,IMAGE_BASE) $(call option,--registry,REGISTRY)

image-push: image  ## Build the image and push it: REGISTRY=…
	@$(RUN) -m pipelines.image --push --base $(call quoted,IMAGE_BASE) --registry $(call quoted,REGISTRY)

image-serving: setup  ## Build the small image that serves models on the CPU: IMAGE=registry.example.org/team/metasgd-serving:1
	@docker build --file docker/serving.Dockerfile --build-arg BASE=$(call quoted,IMAGE_BASE) \
	  --tag $(call quoted,IMAGE) --build-arg REFERENCE=$(call quoted,IMAGE) \
	  --build-arg COMMIT="$$(git rev-parse HEAD)" .

##@ Work on the project

test: setup-dev  ## Run the test suite
	@IMAGE_BASE=$(call quoted,IMAGE_BASE) $(RUN) -m pytest

test-slow: setup-dev  ## Kill a training and a whole run at random moments, twenty times each
	@KILLS=20 $(RUN) -m pytest -n 0 tests/components/train/test_interrupted_command.py tests/pipelines/local/test_stopping.py -k killed

bench: $(BENCH)/.installed  ## Time the meta-gradient against other libraries, into docs/performance.md: WORKLOADS="sine-4" ROUNDS=7
	@$(BENCH)/bin/python -m benchmarks.engine $(call options,--workloads,WORKLOADS) $(call option,--rounds,ROUNDS)

lint: setup-dev  ## Check style and types
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

site: setup-dev  ## Write the reference of the package metasgd from its docstrings, as pages: [OUTPUT=site]
	@$(RUN) -W error -m pdoc --template-directory docs/reference --no-show-source \
	  --output-directory $(if $(value OUTPUT),$(call quoted,OUTPUT),site) metasgd

format: setup-dev  ## Format the code
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

##@ Data and trainings

data: setup  ## Put a data set in place: DATASET=omniglot|miniimagenet|NAME DATA_SOURCE=PATH
	@$(RUN) -m components.datasets $(call quoted,DATASET) $(call option,--source,DATA_SOURCE)

sweep: setup $(CONTAINERS)  ## Train at many points, choose the best on validation tasks: EXPERIMENT=sinusoid-5shot OVER="train.rate=1e-4,1e-3" [TRIALS= SEEDS= SET= KFP_HOST=]
	@$(RUN) -m pipelines.sweeps $(call option,--experiment,EXPERIMENT) $(call options,--over,OVER) \
	  $(call option,--trials,TRIALS) $(TRAININGS) $(PLACE)

tune: setup $(CONTAINERS)  ## Find MAML's inner rate by such a sweep: EXPERIMENTS="sinusoid-5shot" RATES="0.01 0.03"
	@$(RUN) -m pipelines.tune $(LANES) $(call options,--rates,RATES) $(PLACE)

##@ Published numbers

publish: setup  ## Measure experiments into results/ and models/: EXPERIMENTS="sinusoid-5shot-paper" SEEDS="1 2 3" SET=… [FIRST=100]
	@$(RUN) -m pipelines.publishing.publish $(LANES) $(call option,--first,FIRST)

transfer: setup  ## Score published models on the tasks of each other's experiments, into results/: EXPERIMENTS="omniglot-5way-1shot glyphs-5way-1shot"
	@$(RUN) -m pipelines.publishing.transfer $(call options,--experiments,EXPERIMENTS)

evaluate-published: setup  ## Score the published models again, and compare with results/: [EXPERIMENTS="…"]
	@$(RUN) -m pipelines.publishing.rescore $(call options,--experiments,EXPERIMENTS)

docs: setup-dev  ## Write the tables of README.md and docs/ anew, from results/
	@$(RUN) -m cogapp -r -P README.md docs/*.md

##@ Look at results

repro: setup  ## dvc repro, with this environment on the path
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(RUN) -m dvc repro

plots: dvc_plots/vega.js  ## Draw the learning curves of `make repro`, for a browser without a network: dvc_plots/index.html
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(RUN) -m dvc plots show

ui: setup  ## Compare runs in the MLflow UI, on loopback; prints the addresses of the last run: PORT=5000
	@$(RUN) -m components.tracking.ui --port $(call quoted,PORT)

##@ Use a model

predict: setup  ## Predict with a registered model: MODEL=glyphs-5way-1shot SUPPORT=my-classes QUERIES=unknown [OUTPUT= VERSION= ALIAS= GOAL= SEED=]
	@$(RUN) -m components.serving.predict $(WHICH) $(call option,--support,SUPPORT) $(call option,--queries,QUERIES) \
	  $(call options,--goal,GOAL) $(call option,--seed,SEED) --output $(if $(value OUTPUT),$(call quoted,OUTPUT),predictions)

serve: setup  ## Serve a registered model over HTTP, on loopback: MODEL=glyphs-5way-1shot [PORT=8080 VERSION= ALIAS=]
	@$(RUN) -m components.serving.serve $(WHICH) --port $(if $(filter file,$(origin PORT)),8080,$(call quoted,PORT))

deploy: setup  ## Render what serves a model on a cluster: MODEL=glyphs-5way-1shot OUTPUT=deploy [REGISTRY= IMAGE= KFP_NAMESPACE=]
	@$(RUN) -m pipelines.kubeflow.deploy --model $(WHICH) $(call option,--namespace,KFP_NAMESPACE) \
	  --base $(call quoted,IMAGE_BASE) $(call option,--image,IMAGE) $(call option,--registry,REGISTRY) \
	  --output $(if $(value OUTPUT),$(call quoted,OUTPUT),deploy) $(call options,--set,SET)

rollback: setup  ## Move a champion back: MODEL=sinusoid-5shot [VERSION=1]
	@$(RUN) -m components.tracking.rollback $(call quoted,MODEL) $(call option,--version,VERSION)

##@ House-keeping

lock:  ## Lock the requirements anew, with hashes
	@$(RUN) -m uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  pyproject.toml --extra pipeline -o requirements.txt
	@$(RUN) -m uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  pyproject.toml --extra pipeline --extra dev -c requirements.txt -o requirements-dev.txt
	@$(RUN) -m uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  pyproject.toml --extra steps -c requirements.txt -o docker/requirements.txt
	@$(RUN) -m uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  pyproject.toml --extra bench -c requirements.txt -o requirements-bench.txt
	@grep '^uv==' requirements.txt | cut -d' ' -f1 | $(RUN) -m uv pip compile -q --universal --generate-hashes \
	  --no-emit-index-url --python-version 3.11 --no-header - -o requirements-uv.txt

clean:  ## Delete the environment and everything that runs left behind
	rm -rf $(VENV) $(BENCH) .local artifacts

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt $(VENV)/.uv
	@echo "Installing the locked requirements (several GB; the first time takes minutes) ..."
	@$(RUN) -m uv pip install -q --python $(RUN) --compile-bytecode --require-hashes -r $<
	@$(RUN) -m uv pip install -q --python $(RUN) --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@$(RUN) -m uv pip install -q --python $(RUN) --compile-bytecode --require-hashes -r $<
	@touch $@

$(BENCH)/.installed: requirements-bench.txt $(VENV)/.uv
	@$(PYTHON) -m venv $(BENCH)
	@$(RUN) -m uv pip install -q --python $(BENCH)/bin/python --require-hashes -r $<
	@touch $@

dvc_plots/vega.js: $(VENV)/.installed
	@mkdir -p $(@D)
	@$(RUN) -c 'import vl_convert; print(vl_convert.javascript_bundle())' > $@.part
	@mv $@.part $@

$(VENV)/.uv: requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $$($(PYTHON) --version); expected Python 3.11 or newer (make PYTHON=...)" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@
