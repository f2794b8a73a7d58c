import io, json, threading
import pytest
from django.urls import reverse
from training.models import TrainingRun, Checkpoint, RunStatus
from training.services.supervision import RunSupervisor
from training.services import leases
from .conftest import make_sft_run
pytestmark = [pytest.mark.django_db]

@pytest.mark.parametrize("value", ["abc", {"a":1}, [1], 10**30, -1, 1.5, True, "Prompts@v1", "00000000-0000-0000-0000-000000000000"])
def test_followup(client, cast, sft_version, data_dir, value):
    client.force_login(cast.admin)
    client.raise_request_exception = False
    body = {"stage":"sft","base_model":"base","inputs":{"train_data":str(sft_version.public_id)},"follow_up":{"sample":{"prompts_version":value,"completions_per_prompt":2}}}
    r = client.post(f"/api/projects/{cast.project.slug}/runs/", json.dumps(body), content_type="application/json")
    print(value, r.status_code, r.content[:300])
    assert r.status_code < 500

@pytest.mark.parametrize("follow", [{"sample":{"prompt_ids":"x"}},{"sample":{"prompt_ids":[1],"splits":5}},{"sample":{"prompt_ids":[1],"ranking_batch":[1]}},{"sample":{"prompt_ids":[1],"ranking_batch":{"name":"\x00", "size":10**400}}}, {"sample": None}, {"sample":{"prompt_ids":[10**30]}}, {"sample":{"prompt_ids":[1],"temperature":"x"}}])
def test_followup2(client, cast, sft_version, data_dir, follow):
    client.force_login(cast.admin); client.raise_request_exception = False
    body = {"stage":"sft","base_model":"base","inputs":{"train_data":str(sft_version.public_id)},"follow_up":follow}
    r = client.post(f"/api/projects/{cast.project.slug}/runs/", json.dumps(body), content_type="application/json")
    print(follow, r.status_code, r.content[:300])
    assert r.status_code < 500

def test_hub_change(fake_trainer, sft_run, settings):
    pass

def test_oserror(fake_trainer, sft_run, monkeypatch):
    fake_trainer(steps=2)
    run = leases.claim_run(run_id=sft_run.pk, worker="w")
    from training.services import preparation
    def full(self, *a, **k): raise OSError(28, "No space left on device")
    monkeypatch.setattr(preparation.Preparation, "_write", full)
    print(RunSupervisor(run).supervise())
    run.refresh_from_db(); print(run.status, run.error_message)

def test_pin_removed(client, cast, checkpoint):
    from django.utils import timezone
    Checkpoint.objects.filter(pk=checkpoint.pk).update(removed_at=timezone.now())
    client.force_login(cast.admin)
    r = client.post(f"/api/projects/{cast.project.slug}/checkpoints/{checkpoint.pk}/pin/")
    print(r.status_code, r.content[:200])
    assert r.status_code != 200

def test_upload_race(cast, data_dir):
    from training.services.texts import save_text
    from training.services.locations import texts_directory
    class Slow:
        def __init__(self, pieces, before=None): self.pieces=list(pieces); self.before=before
        def read(self, n):
            if self.before: b, self.before = self.before, None; b()
            return self.pieces.pop(0) if self.pieces else b""
    other = Slow([b"other other other other"])
    def meanwhile():
        pass
    errors=[]
    # B opens, writes a part, then A comes in whole, then B goes on
    class B:
        n=0
        def read(self, size):
            self.n+=1
            if self.n==1: return b"BBBB"
            if self.n==2:
                save_text(project=cast.project, name="t.txt", file=Slow([b"AAAA whole"]), acting_user=cast.admin)
                return b"BBBB rest of B"
            return b""
    try:
        save_text(project=cast.project, name="t.txt", file=B(), acting_user=cast.admin)
    except Exception as e: errors.append(e)
    print(errors, (texts_directory(cast.project)/"t.txt").read_bytes())
    assert (texts_directory(cast.project)/"t.txt").read_bytes()==b"AAAA whole"

def test_tampered_checkpoint(cast, fake_trainer, sft_version, checkpoint):
    """files and manifest consistently replaced"""
    from training.services.locations import checkpoint_directory
    from training.rlhf import checkpoints as files
    import shutil
    folder = checkpoint_directory(checkpoint)
    shutil.rmtree(folder)
    files.write_checkpoint(folder, lambda f: (f/"model.safetensors").write_bytes(b"evil") and None, kind="causal_lm", step=1, stage="sft", metrics={}, base="")
    from training.services.runs import create_run
    run = create_run(project=cast.project, stage="sft", hyperparameters={}, inputs={"train_data": sft_version, "model": checkpoint}, acting_user=cast.admin)
    run = leases.claim_run(run_id=run.pk, worker="w")
    fake_trainer(steps=2)
    print(RunSupervisor(run).supervise()); run.refresh_from_db(); print(run.status, run.error_message)
    assert run.status == "failed"
