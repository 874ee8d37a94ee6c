// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"example.com/mimic/tests/cluster/suite/harness"
)

// Source is a path in Mimic's sources.
func Source(parts ...string) string {
	return filepath.Join(append([]string{os.Getenv("MIMIC_SOURCE_DIR")}, parts...)...)
}

// Documents splits a YAML file.
func Documents(text string) (documents []string) {
	for _, document := range strings.Split("\n"+text, "\n---") {
		if strings.TrimSpace(document) != "" {
			documents = append(documents, document)
		}
	}
	return documents
}

// Deploy gives the user "driver" the rights of the driver's service account in deploy/manifests/mimic.yaml, and no more (a right that is
// missing there fails tests here), and makes the DeviceClasses of that file.
func Deploy(ctx context.Context, cluster *harness.Cluster) error {
	text, err := os.ReadFile(Source("deploy/manifests/mimic.yaml"))
	if err != nil {
		return err
	}
	roles := 0
	for _, document := range Documents(string(text)) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			return err
		}
		switch kind.Kind {
		case "ClusterRole":
			roles++
			err = grant(ctx, cluster, document)
		case "DeviceClass":
			var class resourceapi.DeviceClass
			if err = yaml.UnmarshalStrict([]byte(document), &class); err == nil {
				_, err = cluster.Client.ResourceV1().DeviceClasses().Create(ctx, &class, metav1.CreateOptions{})
			}
		}
		if err != nil {
			return err
		}
	}
	if roles != 1 {
		return fmt.Errorf("deploy/manifests/mimic.yaml has %d ClusterRoles", roles)
	}
	return nil
}

func grant(ctx context.Context, cluster *harness.Cluster, document string) error {
	var role rbacv1.ClusterRole
	if err := yaml.UnmarshalStrict([]byte(document), &role); err != nil {
		return err
	}
	if _, err := cluster.Client.RbacV1().ClusterRoles().Create(ctx, &role, metav1.CreateOptions{}); err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "test-driver"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "driver"}}}
	_, err := cluster.Client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	return err
}
