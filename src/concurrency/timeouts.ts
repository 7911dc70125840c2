/** Whether the promise settled, either way, before the timeout or the abort of the signal. */
export async function settledWithin(
  promise: Promise<unknown>,
  ms: number,
  signal?: AbortSignal,
): Promise<'settled' | 'time'> {
  let giveUp = () => {}
  const time = new Promise<'time'>((resolve) => {
    const timer = setTimeout(resolve, ms, 'time')
    const onAbort = () => resolve('time')
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    giveUp = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  })
  const settled = promise.then(
    () => 'settled' as const,
    () => 'settled' as const,
  )
  return Promise.race([settled, time]).finally(giveUp)
}
