{{/* What the roles consist of. A right that no code uses is a defect: tests/it compares with the API server's audit log. */}}

{{/* A binding to a component's service account. Takes the root, Role or ClusterRole, its name, the namespace ("": cluster-wide), the component. */}}
{{- define "warest.bind" -}}
{{- $root := index . 0 -}}
{{- $kind := index . 1 -}}
{{- $role := index . 2 -}}
{{- $namespace := index . 3 -}}
{{- $component := index . 4 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $role }}
  {{- with $namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels:
    {{- include "warest.labels" (list $root $component) | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $role }}
subjects:
  - kind: ServiceAccount
    name: {{ include (ternary "warest.operator.serviceAccount" "warest.gateway.serviceAccount" (eq $component "operator")) $root | quote }}
    namespace: {{ $root.Release.Namespace | quote }}
{{- end -}}

{{/* The operator's rights where sessions are. */}}
{{- define "warest.operator.rules" -}}
# Their finalizer, and no other part.
- apiGroups: [warest.io]
  resources: [whatsappsessions]
  verbs: [list, watch, patch]
- apiGroups: [warest.io]
  resources: [whatsappsessions/status]
  verbs: [patch]
# An owner reference that blocks the owner's deletion needs this where OwnerReferencesPermissionEnforcement is on.
- apiGroups: [warest.io]
  resources: [whatsappsessions/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
# These two go with their owner.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch]
# Listed, to tell why a volume is not mounted or provided.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch, list]
# Nothing is made in a namespace that is being deleted.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end -}}

{{/* The gateway's rights in namespaces where it makes no sessions. */}}
{{- define "warest.gateway.otherRules" -}}
- apiGroups: [warest.io]
  resources: [whatsappsessions]
  verbs: [list, watch, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
{{- end -}}
