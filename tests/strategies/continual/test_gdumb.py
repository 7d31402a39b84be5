import torch

from buffers import GDumbBuffer
from strategies import GDumb, load_checkpoint, save_checkpoint


def test_it_is_training_from_the_first_weights_on_the_memory_alone(kit):
    model, first = kit.mlp(), kit.mlp()
    buffer = GDumbBuffer(12, seed=1)
    plugin = GDumb(buffer, epochs=2, fast=True)
    strategy = kit.naive(model, [plugin], optimizer=kit.sgd(model, momentum=0.9), size=5)
    stream = kit.new_stream().train_stream
    for experience in stream[:2]:
        strategy.train(experience, eval_streams=[])
    assert strategy.train_epochs == 1
    assert buffer.seen == 120
    torch.manual_seed(7)
    strategy.train(stream[2], eval_streams=[])
    assert buffer.class_counts() == dict.fromkeys(range(6), 2)

    optimizer = kit.sgd(first, momentum=0.9)
    torch.manual_seed(7)
    first.train()
    for _ in range(2):
        torch.empty((), dtype=torch.int64).random_()
        seed = int(torch.empty((), dtype=torch.int64).random_())
        order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
        for rows in order.split(5):
            held = buffer.read(rows)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(first(held.x), held.y).backward()
            optimizer.step()
    torch.testing.assert_close(kit.weights_of(model), kit.weights_of(first))


def test_resumes(kit, tmp_path):
    def make():
        model = kit.mlp()
        plugin = GDumb(GDumbBuffer(12), epochs=2, fast=True)
        return kit.naive(model, [plugin], optimizer=kit.sgd(model))

    stream = kit.new_stream().train_stream
    unbroken, broken, resumed = make(), make(), make()
    for strategy, parts in ((unbroken, stream), (broken, stream[:2])):
        torch.manual_seed(5)
        for experience in parts:
            strategy.train(experience, eval_streams=[])
    save_checkpoint(tmp_path / "two", broken)
    load_checkpoint(tmp_path / "two", resumed)
    resumed.train(stream[2], eval_streams=[])
    assert torch.equal(kit.weights_of(resumed.model), kit.weights_of(unbroken.model))
