def environment(request): return None
def dashboard(request, context): return context
def navigation(request): return []
