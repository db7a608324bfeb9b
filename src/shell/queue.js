// Sending to a queue.

export async function enqueue(queue, texts, delaySeconds) {
  const options = delaySeconds ? { delaySeconds } : {};
  if (texts.length === 1) await queue.send(texts[0], { contentType: 'text', ...options });
  else await queue.sendBatch(texts.map((body) => ({ body, contentType: 'text' })), options);
}

export const words = (error) => error?.message ?? String(error);
