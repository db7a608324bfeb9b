// Rounds in, Markdown out.

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

const fixed = (value) => (value === undefined ? '-' : value.toFixed(2));

function summary(rounds) {
  const cpu = rounds.map((round) => round.cpu);
  const answers = rounds.flatMap((round) => round.answers);
  return {
    cpu: median(cpu), low: Math.min(...cpu), high: Math.max(...cpu),
    firstByteMs: median(rounds.map((round) => median(round.answers.map((answer) => answer.firstByteMs)))),
    writes: answers.reduce((sum, answer) => sum + answer.chunks, 0) / answers.length,
  };
}

export function report({ scenarios, results, machine, version, rounds, requests, gap, connections }) {
  const lines = [
    '| scenario | worker | CPU ms / request (min to max) | CPU ms / 1,000 chunks | first byte, ms | chunks seen / request | ÷ proxy | ÷ pump |',
    '|---|---|---|---|---|---|---|---|',
  ];
  for (const { name, chunks } of scenarios) {
    const rows = [...results.get(name)].map(([worker, each]) => ({ worker, ...summary(each) }));
    // Each round is divided on its own, since what disturbs the machine lasts longer than a round.
    const times = (row, wanted) => median(results.get(name).get(wanted).map((round, i) => results.get(name).get(row.worker)[i].cpu / round.cpu));
    for (const row of rows) {
      lines.push(`| ${[name, row.worker, `${row.cpu.toFixed(3)} (${row.low.toFixed(3)} to ${row.high.toFixed(3)})`,
        fixed(chunks ? (row.cpu / chunks) * 1000 : undefined), fixed(row.firstByteMs), row.writes.toFixed(0),
        fixed(times(row, 'proxy')), fixed(times(row, 'pump'))].join(' | ')} |`);
    }
  }
  lines.push('',
    `${new Date().toISOString().slice(0, 10)}, ${machine}, ${version.name} (compatibility date ${version.date}), plain \`workerd serve\`.`,
    `CPU is that of each worker's own workerd over the requests it answered, median of ${rounds} interleaved rounds after a warm-up; ` +
    'a ratio is the median of the rounds\' own ratios; ' +
    `${connections} connections, ${requests} streamed requests a round (unstreamed ten times that), upstream chunks ${gap ? `${gap} ms apart` : 'one per event-loop turn'}; ` +
    'first byte is the first body byte at the client.', '');
  return lines.join('\n');
}
