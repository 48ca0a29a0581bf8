/**
 * Opens a provider's page and returns the URL that it redirects to. Throws the page's text if it does not
 * redirect.
 */
export async function followOnce(pageUrl: string): Promise<URL> {
  const response = await fetch(pageUrl, { redirect: 'manual' })
  const location = response.headers.get('location')
  if (location) return new URL(location)
  throw new Error(`${pageUrl} answered ${response.status}: ${await response.text()}`)
}
