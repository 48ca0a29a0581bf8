/**
 * Where a provider sends the browser that opens this page. Throws what the page says when it sends it
 * nowhere.
 */
export async function followOnce(pageUrl: string): Promise<URL> {
  const response = await fetch(pageUrl, { redirect: 'manual' })
  const location = response.headers.get('location')
  if (location) return new URL(location)
  throw new Error(`${pageUrl} answered ${response.status}: ${await response.text()}`)
}
